import multiprocessing

import pytest

from motif.errors import MotifError
from motif.file_lock import only_run

BUSY = MotifError("another run")


def test_a_second_run_is_refused_and_the_lock_goes_with_the_first(tmp_path):
    folder = tmp_path / "train_dir" / "run"
    with only_run(folder, BUSY):
        with pytest.raises(MotifError, match="another run"):
            with only_run(folder, BUSY):
                pass
        with only_run(tmp_path / "other", BUSY):
            pass
    with only_run(folder, BUSY):
        pass


def hold(folder, ready):
    with only_run(folder, BUSY):
        ready.set()
        multiprocessing.Event().wait(60)


def test_a_killed_run_does_not_hold_its_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(MotifError, match="another run"):
        with only_run(tmp_path, BUSY):
            pass
    holder.kill()
    holder.join()
    with only_run(tmp_path, BUSY):
        pass
