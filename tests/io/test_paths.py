import pytest

from s2s.errors import ArtefactError
from s2s.io.paths import cache_dir, home_dir, safe_join


@pytest.mark.parametrize("part", ["..", "../beside", "/etc/passwd", "inside/../../beside"])
def test_path_outside_the_root_is_refused(tmp_path, part):
    with pytest.raises(ArtefactError):
        safe_join(tmp_path / "directory", part)


def test_link_outside_the_root_is_refused(tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "out").symlink_to(tmp_path)
    with pytest.raises(ArtefactError):
        safe_join(directory, "out", "file")
    assert safe_join(directory, "in", "file") == directory / "in" / "file"


def test_home_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("S2S_HOME", str(tmp_path / "mine"))
    assert home_dir() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S2S_HOME", "relative")
    assert home_dir() == tmp_path / "relative"


def test_default_home(monkeypatch, tmp_path):
    monkeypatch.delenv("S2S_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_dir() == tmp_path / "s2s"


def test_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("S2S_CACHE", str(tmp_path / "named"))
    assert cache_dir() == tmp_path / "named"
    monkeypatch.delenv("S2S_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "s2s"
