"""The tab for many photos: choose them, watch the bar, read the table, save it.

Example:
    >>> with gr.Blocks(), gr.Tab("Many photos"):
    ...     tab = BatchTab(handlers, model)
"""

import gradio as gr
from ui_controls import MODEL_EVENT, PAGE_EVENT, explain_task, task_input
from ui_handlers import MAX_BATCH, Handlers
from ui_scripts import END_PROGRESS


class BatchTab:
    """Files, task and threshold on the left, the table on the right.

    Args:
        handlers (`Handlers`): what the events do.
        model (`gr.Dropdown`): the checkpoint picker of the first tab.
    """

    def __init__(self, handlers: Handlers, model: gr.Dropdown) -> None:
        words = handlers.words
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self.files = gr.File(
                    label=words.batch_files,
                    file_count="multiple",
                    file_types=["image"],
                    type="filepath",
                    height=200,
                    elem_id="fs-files",
                )
                gr.Markdown(words.batch_help.format(count=MAX_BATCH), elem_classes=["fs-help"])
                self.task = task_input(words, "fs-batch-task", "fine")
                self.threshold = gr.Slider(
                    0,
                    1,
                    value=round(handlers.models.get(None).model.config.score_threshold, 3),
                    step=0.001,
                    label=words.threshold,
                    elem_id="fs-batch-threshold",
                )
                with gr.Row():
                    self.run = gr.Button(words.batch_run, variant="primary", scale=3, elem_id="fs-batch-run")
                    self.stop = gr.Button(
                        words.stop,
                        variant="stop",
                        scale=1,
                        min_width=64,
                        elem_id="fs-batch-stop",
                        elem_classes=["fs-stop"],
                    )
            with gr.Column(scale=6, min_width=300):
                waiting = f'<p class="fs-note fs-later">{words.batch_waiting}</p>'
                self.table = gr.HTML(waiting, elem_id="fs-batch", min_height=120)
                with gr.Accordion(words.json, open=False):
                    self.json = gr.JSON(label=words.json_label, elem_id="fs-batch-json")
        running = self.run.click(
            handlers.batch,
            inputs=[self.files, self.task, self.threshold, model],
            outputs=[self.table, self.json],
            show_progress="hidden",  # the table has its own bar
            **MODEL_EVENT,
            **PAGE_EVENT,
        )
        self.stop.click(None, cancels=[running], js=END_PROGRESS, **PAGE_EVENT)
        explain_task(self.task, words)
