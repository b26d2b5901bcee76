# Each target is one command a contributor types; `make check` is what must be green.
PYTHON ?= python

.PHONY: install check fix test slow bench gallery theory maps training page sweep evidence newcomer

install:  ## the package as it stands here, with everything the tests need
	$(PYTHON) -m pip install -e '.[test]'

check:  ## style, types and tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest

fix:  ## what can be mended by machine
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:  ## the tests alone
	$(PYTHON) -m pytest

slow:  ## the tests that take long: every pair of rules and charts at 200 settings, sweeps killed ten times, the whole gallery
	$(PYTHON) -m pytest -m slow

bench:  ## timings against peers, in one run, with ratios
	$(PYTHON) benchmarks/race.py
	$(PYTHON) benchmarks/map.py
	$(PYTHON) benchmarks/torch_step.py
	$(PYTHON) benchmarks/page.py
	$(PYTHON) benchmarks/lanes.py
	$(PYTHON) benchmarks/curvature.py digits-mlp

maps:  ## the pictures of docs/maps
	$(PYTHON) -m ravine map "x^2 + 50y^2" --rule heavyball --start 180,90 --steps 300 --out docs/maps/bowl.png
	$(PYTHON) -m ravine map "x^2 + 50y^2" --rule all --lr 0:0.045 --mu 0:0.99 --start 180,90 --steps 300 --out docs/maps/sheet.png
	$(PYTHON) -m ravine map rosenbrock --rule nag --lr 1e-5:0.01:log --mu 0:0.999:near1 --steps 2000 --out docs/maps/rosenbrock.png

gallery:  ## docs/gallery, drawn and measured again, and the page of the blog post's bowl
	$(PYTHON) -m ravine gallery docs/gallery
	$(PYTHON) -m ravine page "x^2 + 50y^2" --start 180,90 --rule sgd:lr=0.01 --rule classical:lr=0.01,mu=0.9 --rule nag:lr=0.01,mu=0.9 --out docs/gallery/bowl.html

theory:  ## the figures of docs/theory.md
	$(PYTHON) -c "from ravine.draw.theory import theory; theory('docs/theory')"

training:  ## the figure of docs/training.md
	OMP_NUM_THREADS=1 $(PYTHON) examples/digits.py --out docs/training/digits.png

page:  ## the picture of docs/page.md, taken in Chromium
	$(PYTHON) tests/browsing.py docs/page/page.png

sweep:  ## the figure of docs/sweep.md
	$(PYTHON) -m ravine sweep digits-mlp --lr 1e-3:3:10 --mu 0,0.5,0.9,0.95,0.99 --steps 100 --seeds 2 --out .sweep --figure docs/sweep/digits.png

evidence:  ## the figure of docs/tune.md
	OMP_NUM_THREADS=1 $(PYTHON) -m ravine tune digits-mlp --budget 20 --out docs/tune/digits.png

newcomer:  ## the README's first two blocks in a fresh clone and an empty environment
	bash tests/newcomer.sh 1 2
