"""How the package hangs together: imports go down only, heavy ones wait, public things are described."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bort_convert
from tests.support import DATA, run_command

PACKAGE = Path(bort_convert.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

MAY_IMPORT = {
    "errors": {"errors"},
    "params": {"errors", "params"},
    "bort": {"errors", "bort"},
    "conversion": {"errors", "params", "bort", "conversion"},
    "parity": {"errors", "params", "bort", "conversion", "parity"},
    "publishing": {"errors", "params", "bort", "conversion", "parity", "publishing"},
    "diagnosis": {"bort", "diagnosis"},
    "cli": {"errors", "params", "bort", "conversion", "parity", "publishing", "diagnosis", "cli"},
    "__main__": {"cli"},
}
"""The parts of the house, and the parts that each may know."""

HEAVY = {"numpy", "torch", "transformers", "mxnet", "gluonnlp", "safetensors", "tokenizers", "huggingface_hub"}
STAND_ALONE = "bort_convert.parity.mxnet_worker"


def imports(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """The modules that a file imports, as full names; ``at_import`` leaves out what waits inside functions or type checks."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                # What is imported from a package may be a module of it.
                yield str(node.module)
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                waiting.append(node)  # type: ignore[arg-type]


def part(module: str) -> str | None:
    """The part of the house that a module of the package is in; None for the package itself."""
    names = module.split(".")
    return names[1] if names[0] == "bort_convert" and len(names) > 1 and names[1] != "__version__" else None


@pytest.mark.parametrize("module", [module for module in MODULES if module != "bort_convert"])
def test_imports_go_down_only(module: str) -> None:
    here = part(module)
    assert here in MAY_IMPORT, f"{module}: a new part of the house"
    known = {part(name) for name in imports(MODULES[module])} - {None}
    assert known <= MAY_IMPORT[here], f"{module} imports {known - MAY_IMPORT[here]}"


def test_every_module_belongs_to_a_part() -> None:
    assert {part(module) for module in MODULES} - {None} <= set(MAY_IMPORT)
    assert len(MODULES) > 30


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module: {name for name in imports(path, at_import=True) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    # A module's own package is imported before it in any case, and none here imports what is in it but for the re-exports.
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join([*trail, module])
        if module not in finished:
            for name in sorted(graph[module]):
                visit(name, (*trail, module))
            finished.add(module)

    for module in graph:
        visit(module, ())
    assert finished == set(MODULES)


@pytest.mark.parametrize("module", [module for module in MODULES if module != STAND_ALONE])
def test_heavy_imports_wait(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(MODULES[module], at_import=True)} & HEAVY


def test_the_worker_stands_alone() -> None:
    path = MODULES[STAND_ALONE]
    assert {name.split(".")[0] for name in imports(path)} == {"hashlib", "json", "pathlib", "sys"} | {
        "gluonnlp",
        "mxnet",
        "numpy",
        "regex",
    }
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("module", MODULES)
def test_public_things_have_docstrings(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{module} says nothing of itself"
    scopes: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    for scope in scopes:
        if isinstance(scope, ast.ClassDef) and scope.name.startswith("_"):
            continue
        for node in scope.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


@pytest.mark.parametrize("name", bort_convert.__all__)
def test_the_public_names_exist(name: str) -> None:
    assert getattr(bort_convert, name) is not None


def test_an_unknown_public_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bort_convert.nothing  # noqa: B018


CHECKPOINT = str(DATA / "bort_tiny_mlm.params")
FRAMEWORKS = {"torch", "transformers", "mxnet", "gluonnlp"}
COMMANDS = {
    "--help": (["--help"], FRAMEWORKS | {"numpy", "safetensors", "rich"}),
    "inspect --help": (["inspect", "--help"], FRAMEWORKS | {"numpy", "safetensors", "rich"}),
    "convert --help": (["convert", "--help"], FRAMEWORKS | {"numpy", "safetensors", "rich"}),
    "verify --help": (["verify", "--help"], FRAMEWORKS | {"numpy", "safetensors"}),
    "sample --help": (["sample", "--help"], FRAMEWORKS | {"numpy", "safetensors"}),
    "publish --help": (["publish", "--help"], FRAMEWORKS | {"numpy", "safetensors", "huggingface_hub"}),
    "doctor --help": (["doctor", "--help"], FRAMEWORKS | {"numpy", "safetensors", "huggingface_hub"}),
    "inspect": (["inspect", CHECKPOINT, "--num-heads", "4"], FRAMEWORKS | {"safetensors"}),
    "convert": (["convert", CHECKPOINT, "model", "--num-heads", "4"], FRAMEWORKS),
}
REPORT = """
import sys
from bort_convert.cli import main
try:
    main(sys.argv[1:])
finally:
    print("\\nimported:", *sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(("arguments", "forbidden"), COMMANDS.values(), ids=list(COMMANDS))
def test_what_a_command_imports(tmp_path: Path, arguments: list[str], forbidden: set[str]) -> None:
    result = run_command([sys.executable, "-c", REPORT, *arguments], cwd=tmp_path)
    assert result.exit_code == 0, result.stderr
    imported = set(result.stdout.splitlines()[-1].removeprefix("imported: ").split())
    assert {"click", "bort_convert"} <= imported
    assert not imported & forbidden
