"""Are right answers right, wrong ones helped, and none to be read by accident?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import hiermodels as hm
from hiermodels.errors import DataError, UnknownNameError
from hiermodels.teaching import exercise
from hiermodels.teaching.exercise import Exercise
from hiermodels.teaching.tutorial_exercises import EXERCISES, schools_table

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_own() -> Iterator[None]:
    yield
    exercise.OWN.clear()


def number(**more: object) -> Exercise:
    asked = {"name": "n", "question": "How many?", "answer": 2.5, "within": 0.1, "hint": "Count."}
    return Exercise(**(asked | more))  # type: ignore[arg-type]


def test_the_package_has_it() -> None:
    assert hm.exercise is exercise


def test_a_number_is_right_within_its_tolerance_and_wrong_outside() -> None:
    exercise.add(number(solution="Five halves."))
    for given in (2.5, 2.6, 2.4, np.float32(2.5)):
        assert exercise.check("n", given)
    assert exercise.check("n", 2.5).text == "Right. Five halves."
    assert exercise.check("n", 2.61).text == "Not yet. Your number is too large. Count."
    assert exercise.check("n", 2.39).text == "Not yet. Your number is too small. Count."


def test_a_usual_mistake_has_its_own_hint() -> None:
    exercise.add(number(mistakes={"That is the variance.": lambda: 6.25}))
    assert exercise.check("n", 6.2).text == "Not yet. That is the variance."
    assert not exercise.check("n", 6.2)


@pytest.mark.parametrize("given", ["2.5", None, True, (2.5, 3), float("nan"), float("inf")])
def test_what_is_no_number_is_an_error_that_says_so(given: object) -> None:
    exercise.add(number())
    with pytest.raises(DataError, match="asks for a number"):
        exercise.check("n", given)


def test_an_interval() -> None:
    exercise.add(number(kind="interval", answer=(1, 2), mistakes={"That is 90 %.": (1.2, 1.8)}))
    assert exercise.check("n", (1.05, 1.95))
    assert exercise.check("n", np.array([1.0, 2.0]))
    assert exercise.check("n", [1.2, 1.8]).text == "Not yet. That is 90 %."
    assert exercise.check("n", (0.8, 2)).text == "Not yet. Its lower end is too low. Count."
    with pytest.raises(DataError, match=r"asks for an interval, \(lower, upper\), not 1"):
        exercise.check("n", 1)


def test_a_choice() -> None:
    exercise.add(
        number(
            kind="choice",
            answer="Small",
            options=("small", "large", "none"),
            mistakes={"It is the other way round.": "large"},
        )
    )
    assert exercise.check("n", " SMALL ")
    assert exercise.check("n", "large").text == "Not yet. It is the other way round."
    assert exercise.check("n", "none").text == "Not yet. Count."
    with pytest.raises(DataError, match="has the answers small, large, none; given: 'big'"):
        exercise.check("n", "big")


def test_a_question_is_shown_without_its_answer() -> None:
    asked = number(kind="choice", answer="a", options=("a", "b"))
    assert repr(asked) == "n: How many?\n  one of: a, b"
    assert "2.5" not in repr(number())


def test_unknown_names_and_kinds() -> None:
    with pytest.raises(DataError, match=r"no exercise 'school.1'.*Did you mean 'schools.1'"):
        exercise.check("school.1", 1)
    with pytest.raises(UnknownNameError, match="choice, interval, number"):
        number(kind="essay")
    with pytest.raises(DataError, match="two options"):
        number(kind="choice", answer="a", options=("a",))
    with pytest.raises(DataError, match="negative"):
        number(within=-1)


def test_a_verdict_in_a_notebook_escapes() -> None:
    exercise.add(number(hint="x < y & z"))
    shown = exercise.check("n", 9)._repr_html_()
    assert "x &lt; y &amp; z" in shown
    assert "✗" in shown


def test_a_file_keeps_exercises_and_hides_answers(tmp_path: Path) -> None:
    given = [
        number(
            answer=lambda: 2.5,
            hint='A "hint"\nof two lines',
            mistakes={"Squared.": 6.25},
            solution="Geheim",
        ),
        number(name="i", kind="interval", answer=(1.0, 2.0)),
        number(name="c", kind="choice", answer="b", options=("a", "b"), mistakes={"No.": "a"}),
    ]
    path = exercise.save(tmp_path / "own.toml", given)
    clear = path.read_text(encoding="utf-8")
    assert "2.5" not in clear
    assert "6.25" not in clear
    assert "Geheim" not in clear
    loaded = exercise.load(path)
    assert [e.name for e in loaded] == exercise.names()[:3] == ["n", "i", "c"]
    assert loaded[0].hint == given[0].hint
    assert exercise.check("n", 2.5).text == "Right. Geheim"
    assert exercise.check("n", 6.25).text == "Not yet. Squared."
    assert exercise.check("i", (1, 2))
    assert exercise.check("c", "a").text == "Not yet. No."


@pytest.mark.parametrize(
    "text",
    ["", "[[exercise]]\nname = 'a'\n", "[[exercise]]\npacked = 'AAAA'\n", "exercise = 3\n", "x ="],
)
def test_a_file_that_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(DataError, match="is no file of exercises"):
        exercise.load(path)
    with pytest.raises(DataError, match="is no file of exercises"):
        exercise.load(tmp_path / "absent.toml")


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="each with its own name"):
        exercise.save(tmp_path / "two.toml", [number(), number()])
    with pytest.raises(DataError, match="a file has numbers and texts"):
        exercise.save(tmp_path / "odd.toml", [number(answer=object())])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_tutorials_accept_their_answers_and_refuse_their_mistakes(name: str) -> None:
    asked = EXERCISES[name]
    answer = asked.answer() if callable(asked.answer) else asked.answer
    assert exercise.check(name, answer)
    for hint, mistake in asked.mistakes.items():
        found = exercise.check(name, mistake() if callable(mistake) else mistake)
        assert found.text == f"Not yet. {hint}"
    assert asked.hint
    assert asked.solution in exercise.solution(name)


def test_the_probability_of_two_schools_is_that_of_the_integral() -> None:
    """Given tau, the effects are normal in closed form; tau by quadrature, prior and all."""
    data = schools_table()
    y, v = data["effect"].to_numpy(), data["se"].to_numpy() ** 2
    model = hm.Model("effect ~ 1 + (1 | school)", data, se="se")
    mu, scale = model.priors["Intercept"].given, model.priors["sd_school[Intercept]"].given
    m0, s0 = mu.parameters["mu"], mu.parameters["sigma"]
    from scipy.stats import t

    def parts(tau: float) -> tuple[float, float]:
        """Density of tau up to a constant, and P(A > C | tau)."""
        cov = np.diag(v + tau**2) + s0**2
        inverse = np.linalg.inv(cov)
        left = y - m0
        density = np.exp(-0.5 * left @ inverse @ left - 0.5 * np.linalg.slogdet(cov)[1])
        density *= t.pdf(tau / scale.parameters["sigma"], scale.parameters["nu"])
        contrast = np.zeros(8)
        contrast[[0, 2]] = 1, -1
        gain = tau**2 * contrast
        mean = gain @ inverse @ left
        variance = 2 * tau**2 - gain @ inverse @ gain
        return density, float(norm.sf(0, mean, np.sqrt(variance)))

    whole = quad(lambda tau: parts(tau)[0], 1e-6, 200, points=[1, 5, 20], limit=200)[0]
    exact = quad(lambda tau: np.prod(parts(tau)), 1e-6, 200, points=[1, 5, 20], limit=200)[0]
    answer = EXERCISES["schools.4"].answer()
    # 16,000 draws, nearly independent
    assert answer == pytest.approx(exact / whole, abs=4 * 0.5 / np.sqrt(8000))


def test_the_recipe_runs_and_says_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "exercises.md", "exec"), scope)
    assert (tmp_path / "week3.toml").is_file()
    shown = re.search(r"^```text\n(.*?)\n```", page, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert exercise.check("schools.3", 0.9).text == shown[1]
    assert exercise.check("week3.1", 30).text in (
        "Not yet. That is the variance.",
        "Not yet. Your number is too large. See fit.varcorr().",
    )
