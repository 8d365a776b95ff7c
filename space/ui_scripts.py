"""The page's own JavaScript, all of it: language, keyboard, the figures' controls, and names for screen readers.

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
  // The language is the page's, not the browser's, for Gradio's own words ("Drop Image Here") too.
  const french = /\\/fr\\/?$/.test(location.pathname);
  if (!french && /^fr/i.test(navigator.language) && !location.search.includes('lang=')) {
    location.replace(location.pathname.replace(/\\/$/, '') + '/fr' + location.search);
    return;
  }
  const language = french ? 'fr' : 'en';
  document.documentElement.lang = language;
  Object.defineProperty(navigator, 'language', {get: () => language});
  Object.defineProperty(navigator, 'languages', {get: () => [language]});

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
  // What Gradio leaves without a name, and what must be read out when it changes.
  const names = () => {
    for (const id of ['fs-verdict', 'fs-batch', 'fs-simulation']) {
      document.getElementById(id)?.setAttribute('aria-live', 'polite');
    }
    for (const icon of document.querySelectorAll('svg:not([aria-hidden])')) {
      if (!icon.querySelector('title') && !icon.ariaLabel) icon.setAttribute('aria-hidden', 'true');
    }
    for (const [selector, owner] of [['input[type=file]', '.block'], ['input[type=range]', '.block']]) {
      for (const input of document.querySelectorAll(selector + ':not([aria-label])')) {
        const label = input.closest(owner)?.querySelector('label, [data-testid=block-info]')?.innerText.trim();
        if (label) input.setAttribute('aria-label', label.split('\\n')[0]);
      }
    }
  };
  addEventListener('DOMContentLoaded', () => {
    let waiting = false;
    new MutationObserver(() => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => { waiting = false; names(); }, 200);
    }).observe(document.body, {childList: true, subtree: true});
  });
})();
</script>"""
