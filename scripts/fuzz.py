"""Damages parameter files and reads them: only documented errors may come out, and memory must stay bounded.

Without --coverage the files are damaged by the tests' own mutator (tests/params/mutations.py), from a seed, so that a run can be
repeated. With --coverage atheris (pip install atheris) steers by what the reader's code does; it starts from the test data and
keeps what it finds worth keeping in --corpus. A file that breaks a promise is kept, and ends the run with 1.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000, help="files to damage (100,000)")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0, help="where the damage begins (0)")
    parser.add_argument("--coverage", action="store_true", help="let atheris steer, for --minutes (10)")
    parser.add_argument("--corpus", type=Path, help="the folder in which --coverage keeps what it finds (a new one)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failure.params"), help="where a failing file is kept")
    options = parser.parse_args()
    return fuzz_with_coverage(options) if options.coverage else fuzz(options)


def fuzz(options: argparse.Namespace) -> int:
    from tests.params.mutations import check, corpus, mutate, seeds

    random, originals, outcomes = Random(options.seed), seeds() + corpus(), Counter()
    started, slowest = time.monotonic(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.params"
        for _ in range(options.files):
            if options.minutes and time.monotonic() - started > 60 * options.minutes:
                break
            path.write_bytes(mutate(random, random.choice(originals), originals))
            before = time.monotonic()
            try:
                outcomes[check(path)] += 1
            except Exception:
                path.replace(options.keep)
                print(f"file {sum(outcomes.values())} breaks a promise; it is kept as {options.keep}", file=sys.stderr)
                raise
            slowest = max(slowest, time.monotonic() - before)
    total, minutes = sum(outcomes.values()), (time.monotonic() - started) / 60
    print(f"{total:,} damaged files in {minutes:.1f} minutes from {len(originals)} originals, seed {options.seed}")
    for outcome, count in outcomes.most_common():
        print(f"  {count:>9,}  {outcome}")
    print(
        f"slowest {slowest:.3f} s, peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )
    print("only documented errors, memory bounded")
    return 0 if total else 1


def fuzz_with_coverage(options: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=["bort_convert.params"]):
        import bort_convert.params

        for module in iter_modules(bort_convert.params.__path__):  # containers are imported when they are met
            import_module(f"bort_convert.params.{module.name}")
        from tests.params.mutations import DATA, check, mutate, seeds

    originals = seeds()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    path = folder / "damaged.params"
    found = options.corpus or folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    (folder / "seeds").mkdir()
    for index, content in enumerate(originals):
        (folder / "seeds" / str(index)).write_bytes(content)

    def run(content: bytes) -> None:
        path.write_bytes(content)
        check(path)

    def mutator(content: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return atheris.Mutate(content, max_size)
        return mutate(random, content, originals)[:max_size]

    arguments = [
        sys.argv[0],
        str(found),
        str(folder / "seeds"),
        str(DATA / "corpus"),
        f"-max_total_time={int(60 * (options.minutes or 10))}",
        "-max_len=20000",
        "-timeout=10",
        "-rss_limit_mb=4096",  # tracemalloc, which `check` measures by, grows by some KB a file; the reader does not
        f"-artifact_prefix={options.keep}.",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, run, custom_mutator=mutator)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
