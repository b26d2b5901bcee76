"""Real trainings: what a task is, those that come with ravine, and yours from a file."""

# Everything at once, because two functions are called as files are: whoever comes last keeps the name.
from ravine.tasks.catalogue import TASKS
from ravine.tasks.check import check
from ravine.tasks.decorator import task
from ravine.tasks.identity import again, fingerprint
from ravine.tasks.loading import load
from ravine.tasks.task import Task

__all__ = ["TASKS", "Task", "again", "check", "fingerprint", "load", "task"]
