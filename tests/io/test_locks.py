import fcntl
import os
import threading
import time

from s2s.io.locks import PAUSE_SECONDS, exclusive_lock, lock_holder


def test_lock_holder(tmp_path):
    lock = tmp_path / "lock"
    assert lock_holder(lock) is None
    with exclusive_lock(lock, "at work"):
        assert lock_holder(lock) == str(os.getpid())
    assert lock_holder(lock) is None


def test_reading_the_holder_does_not_block_a_lock(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Thread(target=lambda: (time.sleep(PAUSE_SECONDS), fcntl.flock(looking, fcntl.LOCK_UN))).start()
        with exclusive_lock(lock, "at work"):
            assert lock_holder(lock) == str(os.getpid())
