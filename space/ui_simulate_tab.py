"""The tab that makes an attack of the visitor's photo and shows how the verdict changes.

Example:
    >>> with gr.Blocks(), gr.Tab("Simulate an attack"):
    ...     tab = SimulateTab(handlers, model)
"""

import gradio as gr
from ui_controls import MODEL_EVENT, PAGE_EVENT, photo_input
from ui_handlers import MAX_SEED, Handlers

from faceshield_hf.tasks_faceshield import AttackType


class SimulateTab:
    """Photo, attack, conditions and seed on the left, before and after on the right.

    Args:
        handlers (`Handlers`): what the events do.
        model (`gr.Dropdown`): the checkpoint picker of the first tab.
    """

    def __init__(self, handlers: Handlers, model: gr.Dropdown) -> None:
        words = handlers.words
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self.photo = photo_input(words, "fs-simulate-photo", height=240)
                self.kind = gr.Radio(
                    [(words.type_name(kind), kind.value) for kind in AttackType],
                    value=AttackType.PRINT.value,
                    label=words.simulate_kind,
                    elem_id="fs-simulate-kind",
                )
                with gr.Row():
                    self.domain = gr.Radio(
                        list(words.simulate_domains),
                        value=words.simulate_domains[0],
                        label=words.simulate_domain,
                        info=words.simulate_domain_help,
                        min_width=160,
                        elem_id="fs-simulate-domain",
                    )
                    self.seed = gr.Number(
                        0,
                        label=words.simulate_seed,
                        info=words.simulate_seed_help,
                        precision=0,
                        minimum=0,
                        maximum=MAX_SEED,
                        min_width=140,
                        elem_id="fs-simulate-seed",
                    )
                self.run = gr.Button(words.simulate_run, variant="primary", elem_id="fs-simulate-run")
            with gr.Column(scale=6, min_width=300):
                waiting = f'<p class="fs-note fs-later">{words.simulate_waiting}</p>'
                self.figures = gr.HTML(waiting, elem_id="fs-simulation", min_height=120)
                with gr.Accordion(words.json, open=False):
                    self.json = gr.JSON(label=words.json_label, elem_id="fs-simulate-json")
        self.run.click(
            handlers.simulate,
            inputs=[self.photo, self.kind, self.domain, self.seed, model],
            outputs=[self.figures, self.json],
            show_progress="hidden",
            **MODEL_EVENT,
            **PAGE_EVENT,
        )
