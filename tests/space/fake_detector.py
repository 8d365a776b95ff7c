"""A detector that answers at once and always the same."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from faceshield_hf.decision import compose
from faceshield_hf.tasks_faceshield import (
    AttackType,
    Box,
    Task,
    Verdict,
    format_answer,
)


REPLY = "The spoof area is [300, 100, 700, 900], a sheet of <paper> held before the face."
WORDS = "A dot pattern lies on the skin {{7*7}} ${7*7} <img src=x onerror=alert(1)>."
BOX = (0.3, 0.1, 0.7, 0.9)
SPOOF = Verdict(label="spoof", attack_type=AttackType.PRINT, explanation=WORDS, boxes=(Box(*BOX),))


class FakeDetector:
    """Says p(spoof) 0.8 and "Print", and remembers what it was asked."""

    name = "fake"
    score = 0.8
    # A call takes so long, in seconds; a word of an answer too.
    pause = 0.0
    word_pause = 0.01

    def __init__(self, threshold=0.5, margin=0.0):
        self.reset(threshold, margin)

    def reset(self, threshold=0.5, margin=0.0):
        """Forget everything, also what a test put in place of the methods and the pauses."""
        for name in list(vars(self)):
            delattr(self, name)
        self.model = SimpleNamespace(config=SimpleNamespace(score_threshold=threshold, score_margin=margin))
        self.processor = SimpleNamespace(
            image_processor=SimpleNamespace(size={"height": 64, "width": 64}, hog_render="blocknorm")
        )
        self.asked = []
        self.messages = None
        self.stopped = threading.Event()
        self.gate = threading.Event()  # nothing is judged while it is not set
        self.gate.set()
        self.entered = threading.Event()

    def detect(self, image, tasks, threshold=None, quality=True):
        self.entered.set()
        self.gate.wait(60)
        time.sleep(self.pause)
        self.asked.append((image.size, tuple(tasks)))
        config = self.model.config
        threshold = config.score_threshold if threshold is None else threshold
        answers = {task: format_answer(SPOOF, task) for task in tasks}
        verdict = compose(self.score_of(image), answers, threshold, config.score_margin)
        return replace(verdict, quality=("dark",) if quality else (), model=self.name)

    def detect_batch(self, images, tasks, threshold=None, batch_size=4):
        return [self.detect(image, tasks, threshold) for image in images]

    def score_of(self, image):
        """Small pictures are judged by their redness, so that a test can order them."""
        return self.score if image.width > 100 else round(image.getpixel((0, 0))[0] / 255, 3)

    def stream(self, image, messages):
        self.messages = messages
        asked = messages[-1]["content"]
        reply = REPLY
        if asked == "Why is the face in the image real or spoof?":
            reply = format_answer(SPOOF, Task.REASONING)
        elif asked == "Analyze the face in the image step by step.":
            reply = format_answer(SPOOF, Task.COT)
        elif "<image>" in asked:
            raise ValueError("the question contains '<image>', which stands for a picture: leave it out")
        try:
            for word in reply.split(" "):
                time.sleep(self.word_pause)
                yield word + " "
            while asked == "Go on for ever.":
                time.sleep(self.word_pause)
                yield "and "
        except GeneratorExit:
            self.stopped.set()
            raise

    def importance(self, image, question):
        self.question = question
        grid = np.zeros((4, 4))
        grid[1, 2] = 1
        return {"rgb": grid, "sav": grid.T}
