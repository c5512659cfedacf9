"""``convert-bort publish``."""

import sys

import click

from bort_convert.cli import options
from bort_convert.cli.progress import steps
from bort_convert.publishing.publication import Publication, prepare


@click.command()
@options.MODEL_DIR
@click.argument("repo_id")
@click.option("--report", metavar="FILE", help="The JSON that verify wrote. [default: MODEL_DIR/verification.json]")
@click.option(
    "--html-report", metavar="FILE", help="The page that verify wrote. [default: MODEL_DIR/verification.html, if any]"
)
@click.option(
    "--base-model",
    metavar="REPO_ID",
    help="What a classifier was fine-tuned from. [default: amazon/bort, if it is that architecture]",
)
@click.option("--private", is_flag=True, help="Create the repository for yourself alone.")
@click.option("--revision", metavar="BRANCH", help="Commit to this branch. [default: main]")
@click.option("--allow-unverified", is_flag=True, help="Publish without a passing verification; the card says so.")
@click.option("--dry-run", is_flag=True, help="Show the files and the card; touch no network.")
def command(
    model_dir: str,
    repo_id: str,
    report: str | None,
    html_report: str | None,
    base_model: str | None,
    private: bool,
    revision: str | None,
    allow_unverified: bool,
    dry_run: bool,
) -> None:
    """Publishes MODEL_DIR as REPO_ID on the Hugging Face Hub, with a model card, in one commit, and compares what the Hub then
    has. First run verify with --json MODEL_DIR/verification.json: it takes a verification of these very bytes that passed. The
    token is that of HF_TOKEN or of 'hf auth login'.

    \b
    Example:
      convert-bort publish bort/ user/bort --dry-run
      convert-bort publish bort/ user/bort
    """
    publication = prepare(
        model_dir,
        repo_id,
        report=report,
        html_report=html_report,
        allow_unverified=allow_unverified,
        base_model=base_model,
        revision=revision,
    )
    if publication.unverified:
        click.echo(f"Not verified: {publication.unverified}", err=True)
    if dry_run:
        click.echo(_listing(publication))
        return
    from bort_convert.publishing.upload import upload

    with steps() as progress:
        uploaded = upload(publication, private=private, progress=progress)
    for warning in uploaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"Published {model_dir} → {uploaded.url}, {len(publication.files)} files")
    click.echo(f"  commit         {uploaded.commit}")
    click.echo(f"  tensor digest  {publication.tensor_digest}")
    for difference in uploaded.differences:
        click.echo(f"  DIFFERENT      {difference}")
    if uploaded.differences:
        sys.exit(1)
    click.echo("  the Hub has every file as it was sent; the tensors, downloaded again, are the card's")


def _listing(publication: Publication) -> str:
    """The files, then the card."""
    lines = [f"Would publish {len(publication.files)} files as {publication.repo_id}", ""]
    for file in publication.files:
        lines += [f"  {file.name}  {file.size:,} bytes", f"    SHA-256 {file.sha256}"]
    return "\n".join([*lines, "", f"Tensor digest {publication.tensor_digest}", "", publication.card.rstrip("\n")])
