"""The page's own JavaScript: keyboard, the figures' controls, and names for screen readers.

It goes into the page's head and asks no other host for anything.

Example:
    >>> HEAD.startswith("<script>")
    True
"""

# On a phone the verdict is below the photo: bring it into view. Where it is seen already nothing moves.
SHOW_VERDICT = "() => document.getElementById('fs-verdict').scrollIntoView({block: 'nearest', behavior: 'smooth'})"

# The table stays as far as it has come; its bar goes.
END_PROGRESS = "() => document.querySelector('#fs-batch progress')?.remove()"

HEAD = """<script>
(() => {
  // Esc stops whatever answers.
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const button of document.querySelectorAll('.fs-stop')) {
      if (button.offsetParent && !button.disabled) button.click();
    }
  });
  // Checkboxes that show and hide boxes by type.
  addEventListener('change', (event) => {
    if (!event.target.matches('.fs-toggle')) return;
    for (const box of event.target.closest('.fs-figure').querySelectorAll('.fs-box')) {
      if (box.dataset.kind === event.target.value) box.hidden = !event.target.checked;
    }
  });
  // The slider between the photo and its view.
  addEventListener('input', (event) => {
    if (!event.target.matches('.fs-cut')) return;
    event.target.closest('.fs-figure').style.setProperty('--fs-cut', event.target.value + '%');
  });
  // Gradio takes a chat's texts for HTML, so they come escaped (`chat_text`, `chat_answer`); copied and read out they
  // are as they were written.
  const signs = {'&lt;': '<', '&gt;': '>', '&amp;': '&'};
  const plain = (text) => text.replace(/<[^>]*>/g, '').replace(/&(lt|gt|amp);/g, (sign) => signs[sign]);
  if (window.Clipboard) {  // not on a page over plain HTTP
    let chat = false;
    addEventListener('click', (event) => { chat = !!event.target.closest('#fs-chat'); }, true);
    const write = Clipboard.prototype.writeText;
    Clipboard.prototype.writeText = function (text) { return write.call(this, chat ? plain(text) : text); };
  }
  // What Gradio leaves without a name, what must be read out when it changes, and choices for the arrow keys: a
  // browser moves only among buttons of one name, and Gradio names each of a group's differently.
  const read = new WeakMap();
  const names = () => {
    for (const id of ['fs-verdict', 'fs-batch', 'fs-simulation']) {
      document.getElementById(id)?.setAttribute('aria-live', 'polite');
    }
    for (const icon of document.querySelectorAll('svg:not([aria-hidden])')) {
      if (!icon.querySelector('title') && !icon.ariaLabel) icon.setAttribute('aria-hidden', 'true');
    }
    for (const input of document.querySelectorAll('input:is([type=file], [type=range]):not([aria-label])')) {
      const label = input.closest('.block')?.querySelector('label, [data-testid=block-info]')?.innerText.trim();
      if (label) input.setAttribute('aria-label', label.split('\\n')[0]);
    }
    for (const said of document.querySelectorAll('#fs-chat [aria-label*="&"]')) {
      const label = said.getAttribute('aria-label');
      if (label === read.get(said)) continue;
      read.set(said, plain(label));
      said.setAttribute('aria-label', plain(label));
    }
    for (const radio of document.querySelectorAll('fieldset[id] input[type=radio]')) {
      const group = radio.closest('fieldset').id;
      if (radio.name !== group) radio.name = group;
    }
  };
  // Gradio runs this once the page is loaded, and draws the rest of it afterwards, part by part; at each choice it
  // names its buttons anew.
  const parts = {childList: true, subtree: true, attributes: true, attributeFilter: ['name']};
  new MutationObserver(names).observe(document.documentElement, parts);
  names();
})();
</script>
<style>
  /* Out of reach for style.css: on a phone Gradio hides a link of the footer, but not the dot after it. */
  @media (max-width: 640px) { footer .divider { display: none; } }
</style>"""
