"""Published folders: complete, the same every time, checkable by whoever gets them, and deaf to hostile names."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from hashlib import sha256

import pytest
import zstandard
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import FidelityError, StorageError, UnknownName, UsageError
from harness.publishing.archive import archive_of
from harness.publishing.entries import published
from harness.publishing.site import publish
from harness.reports.pages.index import Line, render_index
from tests.support.browser import open_browser

EVIL = "</script><img src=x onerror=window.stolen=1>\u202e\x1b[31m" + "A" * 3000


@pytest.fixture(scope="module")
def site(toy_run, tmp_path_factory):
    """A real run, published by the command."""
    folder = tmp_path_factory.mktemp("site") / "out"
    done = CliRunner().invoke(
        cli, ["publish", toy_run.name, "-o", str(folder), "--results", str(toy_run.parent), "--title", "Toys"]
    )
    assert done.exit_code == 0, done.output
    return folder


def test_the_manifest_names_every_file_with_its_digest(site):
    """Nothing is missing, nothing is there besides, and the archive's name is its digest."""
    manifest = json.loads((site / "manifest.json").read_text())
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()} - {"manifest.json"}
    assert there == {member["path"] for member in manifest["members"]}
    for member in manifest["members"]:
        data = (site / member["path"]).read_bytes()
        assert (sha256(data).hexdigest(), len(data)) == (member["sha256"], member["bytes"])
    (archive,) = (site / "observations").iterdir()
    assert archive.name == f"{sha256(archive.read_bytes()).hexdigest()}.tar.zst"


def test_publishing_twice_gives_the_same_bytes(toy_run, site, tmp_path):
    """Whenever it is done, over an older folder or into a new one."""
    run = published(toy_run.parent, toy_run.name)
    first = publish([run], tmp_path / "new", "Toys")
    assert first == publish([run], tmp_path / "new", "Toys")
    assert (tmp_path / "new" / "manifest.json").read_bytes() == (site / "manifest.json").read_bytes()


def test_an_archive_is_judged_again_to_the_same_scorecard(toy_run, site, tmp_path):
    """Whoever downloads the observations gets the published numbers, without a model."""
    (archive,) = (site / "observations").iterdir()
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompress(archive.read_bytes()))) as tar:
        tar.extractall(tmp_path, filter="data")
    done = CliRunner().invoke(
        cli, ["report", toy_run.name, "--results", str(tmp_path), "--format", "json"], standalone_mode=False
    )
    assert json.loads(done.stdout) == json.loads((site / "runs" / toy_run.name / "scorecard.json").read_text())


def test_links_of_a_run_are_not_followed_into_an_archive(toy_run, tmp_path):
    """A link to a key or to a huge file stays out."""
    copy = tmp_path / toy_run.name
    shutil.copytree(toy_run, copy)
    before = archive_of(copy)
    (copy / "key").symlink_to("/etc/hostname")
    assert archive_of(copy) == before


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(toy_run, tmp_path):
    """The error names the folder, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written to") as error:
        publish([published(toy_run.parent, toy_run.name)], tmp_path / "file" / "site", "t")
    assert "free some space" in str(error.value.fix)


def test_a_folder_that_holds_something_else_is_left_alone(toy_run, tmp_path):
    """So is a run that is not there."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="not published by fidelity"):
        publish([published(toy_run.parent, toy_run.name)], tmp_path, "t")
    with pytest.raises(FidelityError):
        published(toy_run.parent, "20200101T000000Z-abcdef")


def test_what_is_published_no_more_is_gone(toy_run, tmp_path):
    """Observations that were taken back are not served on, and a strange manifest protects its folder."""
    run = published(toy_run.parent, toy_run.name)
    publish([run], tmp_path / "new", "t")
    publish([run, run], tmp_path / "new", "t", observations=False)
    assert not list((tmp_path / "new" / "observations").iterdir())
    assert (tmp_path / "new" / "index.html").read_text().count("/report.html") == 2
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(UsageError, match="not published by fidelity"):
        publish([run], tmp_path / "app", "t")


@pytest.mark.parametrize("name", ["..", ".", "../other", "/etc", "a/b", ""])
def test_a_run_is_named_and_not_pointed_at(toy_run, name):
    """A path could leave the folder that is published."""
    with pytest.raises(UnknownName, match="no name of a stored run"):
        published(toy_run.parent, name)


def test_what_names_the_home_folder_is_told(toy, toy_run, tmp_path, monkeypatch):
    """A command line with absolute paths says more of a machine than one may want."""
    monkeypatch.setenv("HOME", str(toy))
    done = CliRunner().invoke(
        cli, ["publish", toy_run.name, "-o", str(tmp_path / "o"), "--results", str(toy_run.parent)]
    )
    assert "run with relative paths" in done.output


@pytest.mark.browser
def test_the_index_sorts_and_obeys_no_name(tmp_path):
    """In real Chromium: numbers sort as numbers, no barrier, no request, and markup in names stays text."""
    common = {"kind": "checkpoint", "reference": "r", "claim": EVIL, "outcome": "BEYOND", "cause": "quantization",
              "axes": {"displacement": "BEYOND"}, "told": EVIL}  # fmt: skip
    sizes = {"big": 12.0, "small": 1e-9, "middle": 0.5, "none": float("nan")}
    lines = [Line(run=f"2026112{i}T000000Z-a", candidate=name + EVIL, size=size, **common)
             for i, (name, size) in enumerate(sizes.items())]  # fmt: skip
    with open_browser() as browser:
        for width in (1280, 400):
            opened = browser.open(render_index(EVIL, lines, {lines[0].run: "observations/a"}), tmp_path, width=width)
            tab = opened.tab
            assert opened.barriers() == []
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            tab.locator("button", has_text="in numbers").click()
            links = tab.locator("tbody tr td:nth-child(3) a").all_inner_texts()
            assert [text.split("<")[0] for text in links] == ["small", "middle", "big", "none"]
            assert tab.evaluate("window.stolen") is None
            assert opened.requests == opened.complaints == []
            assert "\u202e" not in tab.content()
