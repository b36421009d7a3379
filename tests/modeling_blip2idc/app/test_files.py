"""The folder of a running page: nothing in it gets old, and nothing else is touched."""

import os
import time

from modeling_blip2idc.app.files import Kept


def write(*parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("it")
    return path


def test_files_go_when_they_are_old(tmp_path):
    other = write(tmp_path, "shared", "hash", "other server.png")
    lists = [set(), set()]
    kept = Kept(tmp_path / "shared", age=1, known=lists)
    old = [write(kept.folder, "hash", f"{number}.png") for number in range(300)]
    old.append(write(kept.folder, "broken off"))
    for paths in lists:
        paths.update(old)
    end = time.monotonic() + 20
    while any(map(os.path.exists, old)) and time.monotonic() < end:
        lists[0].add(write(kept.folder, "new", f"{time.monotonic_ns()}.png"))  # as a busy server does
    assert not any(map(os.path.exists, old))
    new = write(kept.folder, "new", "last.png")
    assert os.path.exists(new) and lists[1] == set() and lists[0].isdisjoint(old) and lists[0]
    while os.path.exists(new) or os.path.exists(os.path.dirname(new)):  # an hour later, so to speak, its folder too
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.listdir(kept.folder) == [] and os.path.exists(other)
    kept.close()
    assert [path.name for path in tmp_path.rglob("*")] == ["shared", "hash", "other server.png"]


def test_what_is_new_goes_at_the_end(tmp_path):
    first, second = (Kept(tmp_path / "missing" / "shared", age=3600) for _ in range(2))
    write(first.folder, "hash", "a.png")
    staying = write(second.folder, "hash", "a.png")
    first.close()
    first.close()
    assert not os.path.exists(first.folder) and os.path.exists(staying)
    second.close()
    assert os.listdir(tmp_path / "missing" / "shared") == []
