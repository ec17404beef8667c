"""Formulas to their parts, bad formulas to their messages."""

import pytest

from hiermodels.errors import FormulaError
from hiermodels.formula import FUNCTIONS, parse

#: text: (response, common, group terms, columns)
GOOD = {
    "y ~ 1": ("y", "1", [], "y"),
    "y ~ x": ("y", "x", [], "y x"),
    "y~x+(1|g)": ("y", "x", ["(1 | g)"], "y x g"),
    "y ~ (x | g)": ("y", "1", ["(x | g)"], "y x g"),
    "y ~ (0 + x | g) + x": ("y", "x", ["(0 + x | g)"], "y x g"),
    "y ~ x + (x || g)": ("y", "x", ["(x || g)"], "y x g"),
    "y ~ x + (1 | a/b)": ("y", "x", ["(1 | a)", "(1 | a:b)"], "y x a b"),
    "y ~ (1 | a/b/c)": ("y", "1", ["(1 | a)", "(1 | a:b)", "(1 | a:b:c)"], "y a b c"),
    "y ~ (1 | a:b)": ("y", "1", ["(1 | a:b)"], "y a b"),
    "y ~ (1 | a/b:c)": ("y", "1", ["(1 | a)", "(1 | a:b:c)"], "y a b c"),
    "y ~ (1 | a) + (1 | b)": ("y", "1", ["(1 | a)", "(1 | b)"], "y a b"),
    "y ~ 0 + x*w - z + (x + z | g)": ("y", "0 + x * w - z", ["(x + z | g)"], "y x w z g"),
    "log(y) ~ scale(x) + (np.log(x) | g)": (
        "log(y)",
        "scale ( x )",
        ["(np.log(x) | g)"],
        "y x g",
    ),
    "y ~ bs(x, df=4) + (poly(x, 2) | g)": (
        "y",
        "bs ( x , df = 4 )",
        ["(poly(x, 2) | g)"],
        "y x g",
    ),
    "y ~ within(x, g) + between(x, g) + (1 | g)": (
        "y",
        "within ( x , g ) + between ( x , g )",
        ["(1 | g)"],
        "y x g",
    ),
    "`my y` ~ x + (1 | `my group`)": ("`my y`", "x", ["(1 | my group)"], "my y,x,my group"),
    "y ~ x\n  + (1 | g)": ("y", "x", ["(1 | g)"], "y x g"),
    "body.mass ~ x_1 + (1 | g.1)": ("body.mass", "x_1", ["(1 | g.1)"], "body.mass x_1 g.1"),
}


@pytest.mark.parametrize("text", GOOD)
def test_parts(text):
    response, common, groups, columns = GOOD[text]
    formula = parse(text)
    assert formula.response == response
    assert formula.common == common
    assert [str(term) for term in formula.groups] == groups
    assert list(formula.column_names) == columns.split("," if "," in columns else None)


def test_bars_are_correlated_or_not():
    one, two = parse("y ~ (x | a) + (x || b)").groups
    assert one.correlated
    assert not two.correlated
    assert one.factor == ("a",)


ONE = "1 is not a grouping factor: every row has the same level of it"
#: text: the whole message
BAD = {
    "y + x": """a formula needs a '~' between the response and its predictors
    y + x
    ^^^^^
such as y ~ x + (x | site)""",
    "y ~ x ~ z": """a formula has one '~', this has more
    y ~ x ~ z
          ^""",
    "~ x": """no response before the '~'
    ~ x
    ^
such as y ~ x""",
    "y ~": """nothing after the '~'
    y ~
      ^
an intercept alone is y ~ 1""",
    "y ~ x + (x | site": """'(' is never closed
    y ~ x + (x | site
            ^^^^^^^^^""",
    "y ~ x)": """')' closes nothing
    y ~ x)
         ^""",
    "y ~ x | g": """a group term stands between parentheses
    y ~ x | g
          ^
such as (1 | site)""",
    "y ~ x*(1 | g)": """a group term can only be added to the others
    y ~ x*(1 | g)
          ^^^^^^^
such as y ~ x + (x | site); an effect of x that differs between sites is x inside the bar""",
    "y ~ x - (1 | g)": """a group term can only be added to the others
    y ~ x - (1 | g)
            ^^^^^^^
such as y ~ x + (x | site); an effect of x that differs between sites is x inside the bar""",
    "y ~ (1 | a | b)": """a group term has one bar, this has more
    y ~ (1 | a | b)
        ^^^^^^^^^^^
write (1 | a) + (1 | b) for two factors, (x || g) for independent columns""",
    "y ~ ( | g)": """nothing before the bar
    y ~ ( | g)
        ^^^^^^
(1 | site) lets the intercept differ""",
    "y ~ (1 | )": """no grouping factor after the bar
    y ~ (1 | )
        ^^^^^^
such as (1 | site)""",
    "y ~ (1 | a + b)": """a group term has one grouping factor
    y ~ (1 | a + b)
             ^^^^^
crossed: (1 | a) + (1 | b); nested: (1 | a/b); cells: (1 | a:b)""",
    "y ~ (1 | my site)": """a grouping factor is a column, a:b or a/b
    y ~ (1 | my site)
             ^^^^^^^
a name with a space in it stands in backquotes: (1 | `my site`)""",
    "y ~ (1 | C(a))": """a grouping factor is a column, a:b or a/b
    y ~ (1 | C(a))
             ^^^^
make a column of anything else first""",
    "y ~ x + (x | 1)": f"""{ONE}
    y ~ x + (x | 1)
            ^^^^^^^
for effects of x that differ between the levels of site: (x | site), or (0 + x | site) \
without intercepts; for one effect of x: x without the bar""",
    "y ~ (1 | 1)": f"""{ONE}
    y ~ (1 | 1)
        ^^^^^^^
for an intercept that differs between the levels of site: (1 | site)""",
    "y ~ x^2": """a power outside a function is one of terms: of one term it is that term
    y ~ x^2
        ^^^
the square of a column is I(x**2)""",
    "y ~ x**2": """a power outside a function is one of terms: of one term it is that term
    y ~ x**2
        ^^^^
the square of a column is I(x**2)""",
    "y ~ eval(x)": f"""no function 'eval' in a formula
    y ~ eval(x)
        ^^^^
functions: {", ".join(sorted(f for f in FUNCTIONS if not f.startswith("np.")))}.""",
    "y ~ lgo(x)": f"""no function 'lgo' in a formula
    y ~ lgo(x)
        ^^^
functions: {", ".join(sorted(f for f in FUNCTIONS if not f.startswith("np.")))}. \
Did you mean 'log'?""",
}


@pytest.mark.parametrize("text", BAD)
def test_message(text):
    with pytest.raises(FormulaError) as error:
        parse(text)
    assert str(error.value) == BAD[text]


def test_formula_must_be_text():
    with pytest.raises(FormulaError, match="a formula is text such as"):
        parse(3)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ __import__('os').system('x')",
        "y ~ np.load(x)",
        "y ~ x.__class__(y)",
        "y ~ (open(x) | g)",
        "exec('1') ~ x",
    ],
)
def test_no_formula_runs_code(text):
    with pytest.raises(FormulaError):
        parse(text)
