"""One model, one loss, one metric: what each training asks of a task, with what is wrong said in one sentence."""

from collections.abc import Callable
from typing import Any

from ravine.errors import RavineError, TaskError, reason, shown
from ravine.tasks.task import Task, torch


def new_model(task: Task) -> Any:
    """Make the task's model; raises `TaskError` where that fails or it has nothing to train."""
    try:
        model = task.model()
    except RavineError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"{task.name}: its model cannot be made: {reason(error)}; mend the function model") from error
    if not isinstance(model, torch.nn.Module):
        raise TaskError(f"{task.name}: model must return a torch.nn.Module, got {shown(type(model).__name__)}")
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise TaskError(f"{task.name}: its model has no parameters that can be trained; give it some")
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in trained):
        raise TaskError(f"{task.name}: its model has lazy layers without a size; give each its number of inputs")
    return model


def loss_of(task: Task, model: Any, batch: Any) -> Any:
    """Return the loss on a batch, a tensor of one number; raises `TaskError` where it is none or fails."""
    try:
        loss = task.loss(model, batch)
    except RavineError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"{task.name}: its loss raised {reason(error)}; mend the function loss") from error
    if not torch.is_tensor(loss) or loss.numel() != 1:
        got = f"a tensor of shape {tuple(loss.shape)}" if torch.is_tensor(loss) else shown(type(loss).__name__)
        raise TaskError(f"{task.name}: its loss must be a tensor of one number, got {got}; return the mean")
    if loss.is_complex():
        raise TaskError(
            f"{task.name}: its loss is a complex number; return a real one, such as loss.real or loss.abs()"
        )
    if not loss.requires_grad and torch.is_grad_enabled():
        raise TaskError(f"{task.name}: its loss does not depend on the model's parameters; compute it from the model")
    return loss.reshape(())


def value_of(task: Task, model: Any, batch: Any) -> float:
    """Return the loss on a batch as a number; raises `TaskError` where it is none or fails."""
    return _without_gradient(lambda: loss_of(task, model, batch))


def metric_of(task: Task, key: str, model: Any, batch: Any) -> float:
    """Return a metric on a batch; raises `TaskError` where it is no number or fails."""
    try:
        return _without_gradient(lambda: task.metrics[key](model, batch))
    except RavineError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(
            f"{task.name}: its metric {shown(key)} raised {reason(error)}; return one number from (model, batch)"
        ) from error


def _without_gradient(call: Callable[[], Any]) -> float:
    """Return a number, computed without a graph where that is possible: a loss may differentiate on its own."""
    try:
        with torch.no_grad():
            return float(call())
    except Exception:
        with torch.enable_grad():
            told = call()
        return float(told.detach() if torch.is_tensor(told) else told)
