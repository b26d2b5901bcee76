"""The words of the page, in English and in Chinese: labels, titles of rules and settings, and what is said of errors.

A word with a dot belongs to a kind of things: `setting.lr` is what lr means. `{name}` is filled in by the page.
"""

from collections.abc import Mapping

from ravine.browser.captions import CAPTIONS
from ravine.browser.chinese import CHINESE
from ravine.charts import EVERY
from ravine.errors import PageError, nearest
from ravine.phrases import KINDS, REGIMES
from ravine.rules import SETTINGS


def words(lang: str) -> dict[str, str]:
    """Return all texts of a page in a language.

    Args:
        lang: `en` or `zh`.

    Raises:
        PageError: there is no such language.

    Example:
        >>> words("en")["steps"], words("zh")["steps"]
        ('steps', '步数')
    """
    if lang not in LANGUAGES:
        raise PageError(f"a page speaks en or zh, got '{lang}'; {nearest(lang, LANGUAGES)}")
    return dict(LANGUAGES[lang])


ENGLISH: Mapping[str, str] = {
    # The frame
    "subtitle": "gradient descent with momentum",
    "noscript": "This page computes in the browser: allow JavaScript for it.",
    "close": "close",
    "terrain": "The terrain with the paths of the runs",
    "map": "The map of two settings",
    "curves": "The value at every step",
    "panels": "The eigen-directions",
    "play_group": "Play",
    "controls": "Controls",
    "failed_picture": "A picture could not be drawn: {name}.",
    "preset": "preset",
    "choose_preset": "choose …",
    "preset.opened": "as opened",
    "preset.figure1_small": "figure 1: lr = 0.001",
    "preset.figure1_large": "figure 1: lr = 0.01",
    "preset.figure2": "figure 2: three momenta, lr = 0.001",
    "preset.figure3": "figure 3: three momenta, lr = 0.01",
    "preset.ramp": "a momentum that rises",
    "preset.forms": "two forms of one method",
    "preset.compare": "descent, momentum, Nesterov",
    "preset.momenta": "three momenta",
    "theme": "theme",
    "auto": "auto",
    "light": "light",
    "dark": "dark",
    # Runs
    "runs": "Runs",
    "add_rule": "add a rule …",
    "show_run": "show {label}",
    "remove_run": "remove {label}",
    "hidden": "hidden",
    "outcome.value": "{value} after {steps} steps",
    "outcome.diverged": "diverged at step {steps}",
    "outcome.undefined": "undefined at step {steps}",
    "most_runs": "At most {most} runs fit on a page.",
    # Settings
    "settings_of": "Settings of",
    "exact": "{name}, exact value",
    "schedule_of": "schedule of {name}",
    "together": "all rules move together",
    "optimum": "optimum",
    "critical": "critical",
    "limit": "limit",
    "why.optimum": "the best constant settings of this rule for the minimum that the read-out is of",
    "why.critical": "the mu at which the slowest direction stops swinging",
    "why.limit": "the largest lr that does not diverge along the steepest direction",
    "no_optimum": "No best settings are known here: there is no minimum with a positive curvature.",
    "no_best": "No best settings are known for {rule} here.",
    "no_best_here": "No best settings are known for {rule} with these settings.",
    "other_nu": "No best settings are known for nu = {nu}: this page has those of nu = {known}.",
    "no_curvature": "No minimum with a positive curvature is known here.",
    "no_critical": "With this lr no momentum is critical along the slowest direction.",
    "no_limit": "This rule has no limit in lr here.",
    "no_setting": "{rule} has no {name}.",
    "schedule.constant": "constant",
    "schedule.ramp": "ramp",
    "schedule.linear": "linear",
    "schedule.step": "step",
    "schedule.exponential": "exponential",
    "schedule.inverse": "1/t",
    "schedule.search": "search, then converge",
    "schedule.cosine": "cosine",
    "schedule.sutskever": "Sutskever",
    "schedule.nesterov83": "Nesterov 1983",
    "schedule.then": "one after the other",
    "schedule.warmup": "warm-up",
    "schedule.finaldrop": "final drop",
    "schedule.onecycle": "one-cycle",
    "argument.value": "value",
    "argument.start": "start",
    "argument.stop": "stop",
    "argument.by": "by, a step",
    "argument.steps": "steps",
    "argument.factor": "factor",
    "argument.every": "every, steps",
    "argument.k": "k",
    "argument.T": "T, steps",
    "argument.mu_max": "largest mu",
    "argument.peak": "peak",
    "argument.up": "share that rises",
    # The experiment
    "experiment": "Experiment",
    "steps": "steps",
    "start_of": "start {name}",
    "noise": "noise",
    "noise_meaning": "standard deviation of the noise on each coordinate of the gradient, gradient units",
    "seed": "seed",
    # Play
    "play": "play",
    "pause": "pause",
    "step_of": "step {step} of {steps}",
    "whole": "whole paths",
    "time": "step that is shown",
    # The read-out
    "readout": "Read-out",
    "place": "the minimum that the read-out is of",
    "nearest_place": "nearest minimum",
    "no_place": "no minimum is known here, so nothing is predicted",
    "no_prediction": "nothing can be predicted for these settings",
    "rate": "rate",
    "measured": "measured rate",
    "digit": "tenfold every",
    "effective": "effective lr",
    "acceleration": "acceleration",
    "why.rate": "the factor by which the error changes per step in the long run, by theory",
    "why.measured": "the factor by which the gradient's norm changed per step, late in this run",
    "why.digit": "steps in which the error falls (or grows) tenfold, by theory",
    "why.effective": "the step per gradient when the gradient stays the same",
    "why.acceleration": "effective lr per lr",
    "directions": "Eigen-directions",
    "column_h": "curvature h",
    "column_regime": "regime",
    "column_rate": "rate per step",
    "column_period": "period",
    "column_digit": "tenfold every",
    "n_steps": "{steps} steps",
    # Sharing
    "share": "Share",
    "share_title": "The same elsewhere",
    "copy_command": "Copy command",
    "save_csv": "Save CSV",
    "copy_link": "Link",
    "link_label": "Link that carries everything set here",
    "command_label": "Command line that gives the same picture",
    "python_label": "Python that gives the same picture",
    "copy": "copy",
    "copied": "copied",
    "selected": "selected",
    "copied_notice": "Copied.",
    "selected_notice": "The text is selected: copy it with the keyboard.",
    # What is refused
    "refused": "{name} must be {allowed}, got {value}{when}.",
    "at_step": " at step {step}",
    "not_a_number": "no number",
    "finite": "a finite number",
    "bad_schedule": "{name}: this schedule cannot be used; its numbers do not fit.",
    "bad_rule": "A run was left out: its rule is not known here.",
    "misfit": "{rule}: these settings do not fit each other.",
    "m_above_L": "m, the smallest curvature, must not be above L.",
    "noise_steps": "With noise this page has numbers for {steps} steps.",
    "dropped": "Left out, because it cannot be used here: {names}.",
    "field_takes": "{name} ({allowed})",
    "takes.start": "finite numbers up to {most}",
    "takes.noise": "0 or more",
    "takes.seed": "one of {seeds}",
    "takes.steps": "a whole number from 1 to {most}",
    "cut_steps": "steps: {allowed}.",
    "none_shown": "No run is shown.",
    "comma": ", ",
    "bad_link": "The link could not be read; the page is as it was.",
    "strange_link": "Parts of the link are not known here and were left out.",
    "field.runs": "runs",
    "field.focus": "the run in focus",
    "field.together": "whether rules move together",
    "field.start": "the start",
    "field.steps": "the number of steps",
    "field.noise": "the noise",
    "field.seed": "the seed",
    "field.time": "the step that is shown",
    "field.view": "what the terrain shows",
    "field.place": "the minimum",
    "field.theme": "the theme",
    **{f"rule.{name}": rule.title for name, rule in EVERY.items()},
    **{f"setting.{name}": setting.meaning for name, setting in SETTINGS.items()},
    **{f"allowed.{name}": setting.sentence for name, setting in SETTINGS.items()},
    **CAPTIONS["en"],
    **{f"regime.{name}": word for name, word in REGIMES["en"].items()},
    **{f"kind.{name}": word for name, word in KINDS["en"].items()},
}

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "zh": CHINESE}
