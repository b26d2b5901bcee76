"""The sentences of a verdict in English and in Chinese: the same keys, the same placeholders.

A placeholder names what stands there and with how many digits; `verdict.py` chooses the keys and joins the pieces.
"""

from collections.abc import Mapping

Phrases = Mapping[str, str]

ENGLISH: Phrases = {
    # Nothing is said, or the point is not what one thinks
    "kink": "nothing is said of a kink: the gradient jumps here, so that no quadratic holds and {method} with a constant "
    "lr does not come to rest; let the lr fall",
    "slope": "this point is not stationary; with its Hessian alone {method} {said}",
    "mean": "in the mean over the schedule it {said}",
    # It stays
    "nowhere": "moves nowhere: its effective lr is 0, so that the rate is 1",
    "all flat": "stays: the Hessian is 0 here, the rate is 1, and the quadratic picture says nothing more",
    "one flat": "stays along {count:d} flat direction (rate 1); elsewhere it {rest}",
    "some flat": "stays along {count:d} flat directions (rate 1); elsewhere it {rest}",
    "hardly": "hardly moves along h = {h:.6g}: the rate is 1 but for rounding",
    "on the limit": "neither converges nor diverges: the rate is 1, on the limit of stability",
    # It converges
    "at once": "converges at once: every pole is 0",
    "converges": "converges: one digit every {steps}",
    "ripples": "converges with ripples: one digit every {steps}",
    "oscillating": "converges from side to side: one digit every {steps}",
    "critical": "converges critically damped: one digit every {steps}",
    "monotone": "converges steadily: one digit every {steps}",
    "set by": ", set by h = {h:.6g}",
    "best": "; {method} can hardly do better here",
    "better": "; {settings} would need {steps}",
    "better constant": "; constant {settings} would need {steps}",
    "better at once": "; {settings} is there at once",
    "better at once constant": "; constant {settings} is there at once",
    "few steps": "{number:.3g} steps",
    "many steps": "{number:.0f} steps",
    # It diverges
    "diverges": "diverges along h = {h:.6g}, by a factor of {rate:.4g} a step",
    "last row": "; its last row is unstable: kept on, it would diverge along h = {h:.6g}",
    "cure": ": {bounds}",
    "or": ", or ",
    "and": " and ",
    "lr": "lr must be below {limit:.4g}, it is {lr}",
    "mu": "mu must be {bounds}",
    "mu too": "mu {bounds}",
    "above": "above {limit:.4g}",
    "below": "below {limit:.4g}",
    "curvature": "the curvature must be below {limit:.4g}",
    "no curvature": "these settings hold no curvature",
    # It leaves a saddle, a maximum or a point that is not stationary
    "saddle": "saddle",
    "maximum": "maximum",
    "point": "point",
    "nothing moves": "stays at this {place}: nothing moves",
    "leaves one": "leaves this {place} along {many:d} of {count:d} direction, fastest along h = {h:.6g}: by a factor of "
    "{rate:.4g} a step, tenfold every {steps}",
    "leaves some": "leaves this {place} along {many:d} of {count:d} directions, fastest along h = {h:.6g}: by a factor of "
    "{rate:.4g} a step, tenfold every {steps}",
    # Noise
    "noise floor": "; noise of {noise:g} keeps the expected loss {loss:.4g} above the minimum",
    "noise left": "; with noise of {noise:g} the expected loss ends at {loss:.4g} above the minimum",
}

CHINESE: Phrases = {
    "kink": "此处是折点，无从预测：梯度在这里跳变，任何二次函数都不成立，lr 恒定的 {method} 不会静止；应让 lr 逐渐减小",
    "slope": "此点不是驻点；仅就其 Hessian 而言，{method} {said}",
    "mean": "按整个调度平均，{said}",
    "nowhere": "静止不动：有效 lr 为 0，速率为 1",
    "all flat": "停留原处：此处 Hessian 为 0，速率为 1，二次近似不能说明更多",
    "one flat": "沿 {count:d} 个平坦方向停留原处（速率 1）；其余方向上{rest}",
    "some flat": "沿 {count:d} 个平坦方向停留原处（速率 1）；其余方向上{rest}",
    "hardly": "沿 h = {h:.6g} 几乎不动：除舍入误差外速率为 1",
    "on the limit": "既不收敛也不发散：速率为 1，恰在稳定性的边界上",
    "at once": "立即收敛：所有极点为 0",
    "converges": "收敛：误差每 {steps}降到十分之一",
    "ripples": "波动着收敛：误差每 {steps}降到十分之一",
    "oscillating": "来回振荡着收敛：误差每 {steps}降到十分之一",
    "critical": "以临界阻尼收敛：误差每 {steps}降到十分之一",
    "monotone": "单调收敛：误差每 {steps}降到十分之一",
    "set by": "，由 h = {h:.6g} 决定",
    "best": "；{method} 在此几乎不能更快",
    "better": "；取 {settings} 则只需 {steps}",
    "better constant": "；改用固定的 {settings} 则只需 {steps}",
    "better at once": "；取 {settings} 则立即到达",
    "better at once constant": "；改用固定的 {settings} 则立即到达",
    "few steps": "{number:.3g} 步",
    "many steps": "{number:.0f} 步",
    "diverges": "沿 h = {h:.6g} 发散，每步放大到 {rate:.4g} 倍",
    "last row": "；最后一步的设置不稳定：若一直用它，将沿 h = {h:.6g} 发散",
    "cure": "：{bounds}",
    "or": "，或 ",
    "and": " 且",
    "lr": "lr 须小于 {limit:.4g}，现为 {lr}",
    "mu": "mu 须{bounds}",
    "mu too": "mu {bounds}",
    "above": "大于 {limit:.4g}",
    "below": "小于 {limit:.4g}",
    "curvature": "曲率须小于 {limit:.4g}",
    "no curvature": "这组设置在任何曲率下都不稳定",
    "saddle": "鞍点",
    "maximum": "极大点",
    "point": "点",
    "nothing moves": "停在此{place}：静止不动",
    "leaves one": "沿 {count:d} 个方向中的 {many:d} 个离开此{place}，沿 h = {h:.6g} 最快：每步放大到 {rate:.4g} 倍，"
    "每 {steps}放大到十倍",
    "leaves some": "沿 {count:d} 个方向中的 {many:d} 个离开此{place}，沿 h = {h:.6g} 最快：每步放大到 {rate:.4g} 倍，"
    "每 {steps}放大到十倍",
    "noise floor": "；噪声 {noise:g} 使期望损失停留在比最小值高 {loss:.4g} 处",
    "noise left": "；在噪声 {noise:g} 下，期望损失最终比最小值高 {loss:.4g}",
}

BOOKS: Mapping[str, Phrases] = {"en": ENGLISH, "zh": CHINESE}

# Of a direction, and of a place: what a read-out calls them.
REGIMES: Mapping[str, Phrases] = {
    "en": {
        word: word
        for word in ("monotone", "critical", "ripples", "oscillating", "diverging", "stands still", "flat", "kink")
    },
    "zh": {
        "monotone": "单调",
        "critical": "临界",
        "ripples": "波动",
        "oscillating": "来回振荡",
        "diverging": "发散",
        "stands still": "静止",
        "flat": "平坦",
        "kink": "折点",
    },
}
KINDS: Mapping[str, Phrases] = {
    "en": {word: word for word in ("minimum", "saddle", "maximum", "flat", "kink", "slope")},
    "zh": {
        "minimum": "极小点",
        "saddle": "鞍点",
        "maximum": "极大点",
        "flat": "平坦处",
        "kink": "折点",
        "slope": "斜坡",
    },
}
