"""A detector that answers at once and always the same."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

from faceshield_hf.tasks_faceshield import AttackType, Box, Verdict


REPLY = "The spoof area is [300, 100, 700, 900], a sheet of <paper> held before the face."


class FakeDetector:
    """Says "spoof, Print" from its threshold on, and remembers what it was asked."""

    name = "fake"
    model = SimpleNamespace(config=SimpleNamespace(score_threshold=0.5))
    score = 0.8

    def __init__(self):
        self.asked = []
        self.messages = None
        self.stopped = threading.Event()

    def detect(self, image, tasks, threshold):
        self.asked.append((image.size, tuple(tasks)))
        answers = {task: f"The answer to {task}." for task in tasks}
        return self.reconsider(Verdict(score=self.score, answers=answers, quality=("dark",), model="fake"), threshold)

    def reconsider(self, verdict, threshold):
        spoof = verdict.score >= threshold
        return replace(
            verdict,
            label="spoof" if spoof else "real",
            threshold=threshold,
            attack_type=AttackType.PRINT if spoof else AttackType.BONAFIDE,
            boxes=(Box(0.3, 0.1, 0.7, 0.9, "Print"),) if spoof else (),
            explanation="A dot pattern on the skin." if spoof else "Even light.",
        )

    def stream(self, image, messages):
        self.messages = messages
        try:
            for word in REPLY.split(" "):
                time.sleep(0.02)
                yield word + " "
            while messages[-1]["content"] == "Go on for ever.":
                time.sleep(0.02)
                yield "and "
        except GeneratorExit:
            self.stopped.set()
            raise
