"""One thread for small models, and the caller's own number afterwards."""

import threading

import pytest
import torch

from faceshield_hf.threads import one_thread


@pytest.fixture(autouse=True)
def three():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_number_is_one_inside_and_the_callers_own_afterwards():
    with one_thread(True):
        assert torch.get_num_threads() == 1
        with one_thread(True):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_an_error_inside_restores_it_too():
    with pytest.raises(KeyError), one_thread(True):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_large_models_keep_all_threads():
    with one_thread(False):
        assert torch.get_num_threads() == 3


def test_threads_do_not_change_each_others_number():
    inside, done = threading.Event(), threading.Event()

    def other():
        with one_thread(True):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    assert torch.get_num_threads() == 3
    done.set()
    thread.join()
    assert torch.get_num_threads() == 3
