# The public names, listed once, on purpose; __init__.py loads each from its room when it is first used.
from . import algebra as algebra
from . import draw as draw
from . import rules as rules
from . import schedules as schedules
from . import surfaces as surfaces
from .errors import RavineError as RavineError
from .race import race as race
from .result import Race as Race
from .result import Run as Run
from .rules import RULES as RULES
from .rules import Method as Method
from .rules import Row as Row
from .rules import Rule as Rule
from .surfaces import Surface as Surface
from .surfaces import surface as surface
from .surfaces.check import check_gradient as check_gradient
