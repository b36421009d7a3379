"""The folder of a running page: nothing in it gets old, and nothing else is touched."""

import os
import shutil
import time

from modeling_blip2idc.app.limits import delete_old_files


def write(*parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("it")
    return path


def test_files_go_when_they_are_old(tmp_path):
    other = write(tmp_path, "other", "hash", "other server.png")
    folder, lists = str(tmp_path / "folder"), [set(), set()]
    old = [write(folder, "hash", f"{number}.png") for number in range(300)]
    old.append(write(folder, "broken off"))
    for paths in lists:
        paths.update(old)
    delete_old_files(folder, 1, lists)
    end = time.monotonic() + 20
    while any(map(os.path.exists, old)) and time.monotonic() < end:
        lists[0].add(write(folder, "new", f"{time.monotonic_ns()}.png"))  # as a busy server does
    assert not any(map(os.path.exists, old))
    new = write(folder, "new", "last.png")
    assert os.path.exists(new) and lists[1] == set() and lists[0].isdisjoint(old) and lists[0]
    while os.listdir(folder):  # an hour later, so to speak, its folders, too
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.path.exists(other)
    shutil.rmtree(folder)
