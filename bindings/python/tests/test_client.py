"""The client against the sandbox: from a request to the image, and what happens when it goes wrong."""

import hashlib
import json
import os
import pickle
import stat
import struct
import sys
import threading
import time
import unittest.mock
from typing import List, Tuple

import imgtask
from imgtask import FailureAction, State

from .support import WithSandbox

PROVIDERS = ("dimilinks", "dimilinks-legacy", "lemondata")


def png_size(data: bytes) -> Tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


class HappyWay(WithSandbox):
    def test_a_prompt_becomes_an_image_with_every_provider(self) -> None:
        for provider in PROVIDERS:
            with self.subTest(provider):
                client = self.client(provider)
                submitted = client.submit(prompt="a lighthouse", size="320x200", model="gpt-image-2")
                self.assertTrue(submitted.id)
                task = client.wait(submitted, timeout=20)
                self.assertEqual((task.id, task.state, task.progress), (submitted.id, State.SUCCEEDED, 100))
                self.assertEqual(len(task.images), 1)
                picture = client.download(task)
                self.assertEqual(picture.media_type, "image/png")
                self.assertEqual(png_size(picture.data), (320, 200))
                self.assertEqual((picture.width, picture.height), (320, 200))
                self.assertEqual(picture.sha256, hashlib.sha256(picture.data).hexdigest())
                saved = client.download_file(task, self.folder / f"{provider}.png")
                self.assertEqual(saved.path.read_bytes(), picture.data)
                self.assertEqual((saved.size, saved.sha256), (len(picture.data), picture.sha256))

    def test_a_task_is_found_by_its_id_its_poll_address_and_itself(self) -> None:
        client = self.client("lemondata")
        task = client.submit(prompt="a lighthouse", model="gpt-image-2")
        for ref in (task, task.id, task.poll_ref):
            self.assertEqual(client.fetch(ref).id, task.id)
            self.assertEqual(client.wait(ref, timeout=20).id, task.id)

    def test_a_request_is_keywords_a_dict_or_text(self) -> None:
        client = self.client()
        for task in (
            client.submit(prompt="a cat"),
            client.submit({"prompt": "a cat"}, n=1),
            client.submit('{"prompt": "a cat"}'),
            client.submit('{"prompt": "a dog"}', prompt="a cat"),
        ):
            self.assertEqual(client.wait(task, timeout=20).state, State.SUCCEEDED)

    def test_several_images_are_downloaded_by_their_index(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a lighthouse", n=3, resolution="2k", size="64x48"), timeout=20)
        self.assertEqual(len(task.images), 3)
        pictures = [client.download(task, index) for index in range(3)]
        self.assertEqual(len({picture.sha256 for picture in pictures}), 3)
        with self.assertRaises(imgtask.InvalidArgument):
            client.download(task, 3)

    def test_jpeg_and_webp_are_known_by_their_bytes(self) -> None:
        client = self.client()
        for form, media_type, extension in (("jpeg", "image/jpeg", "jpg"), ("webp", "image/webp", "webp")):
            task = client.wait(client.submit(prompt="a cat", size="64x48", output_format=form), timeout=20)
            picture = client.download(task)
            self.assertEqual((picture.media_type, picture.extension), (media_type, extension))
            self.assertEqual((picture.width, picture.height), (64, 48))

    def test_an_image_inside_the_answer_needs_no_link(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [data-url]", size="64x48"), timeout=20)
        self.assertTrue(task.images[0].is_inline)
        self.assertEqual(task.images[0].url, "")
        self.assertEqual(png_size(client.download(task).data), (64, 48))

    def test_a_final_task_is_not_looked_at_again(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), timeout=20)
        before = client.stats().looks
        self.assertIs(client.wait(task), task)
        self.assertEqual(client.stats().looks, before)

    def test_a_task_tells_everything_as_plain_data(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), timeout=20)
        self.assertEqual(task.raw["id"], task.id)
        self.assertEqual(task.raw["status"], task.provider_status)
        self.assertEqual(task.raw["completed_at"], task.completed_at)
        again = json.loads(json.dumps(task.to_dict()))
        self.assertEqual(again["state"], "succeeded")
        self.assertEqual(again["images"][0]["url"], task.images[0].url)
        assert task.looked_at is not None and task.created_at is not None
        self.assertLess(abs(task.looked_at - time.time()), 60)

    def test_a_task_cannot_be_changed(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat")
        with self.assertRaises(AttributeError):
            task.id = "another"  # type: ignore[misc]
        self.assertEqual(task, client_copy(task))
        self.assertEqual(hash(task), hash(client_copy(task)))

    def test_a_pickled_task_keeps_all_but_its_handle(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), timeout=20)
        again = client_copy(task)
        self.assertEqual((again, again.raw), (task, task.raw))
        with self.assertRaisesRegex(imgtask.InvalidArgument, "fetch it again"):
            client.download(again)
        self.assertEqual(len(client.download(client.fetch(again)).data), len(client.download(task).data))

    def test_a_saved_picture_replaces_the_file_or_leaves_it(self) -> None:
        client = self.client()
        picture = client.download(client.wait(client.submit(prompt="a cat", size="64x48"), timeout=20))
        file = self.folder / "cat.png"
        file.write_text("older")
        self.assertEqual(picture.save(file), file)
        self.assertEqual(file.read_bytes(), picture.data)
        with self.assertRaises(FileNotFoundError) as caught:
            picture.save(self.folder / "nowhere" / "cat.png")
        self.assertEqual(caught.exception.filename, str(self.folder / "nowhere" / "cat.png"))
        self.assertEqual([each.name for each in self.folder.iterdir()], ["cat.png"])

    @unittest.skipUnless(os.name == "posix", "there are no pipes with names")
    def test_a_saved_picture_replaces_a_link_and_neither_a_pipe_nor_a_folder(self) -> None:
        client = self.client()
        picture = client.download(client.wait(client.submit(prompt="a cat", size="64x48"), timeout=20))
        pipe, folder, link, usual = (self.folder / name for name in ("pipe", "folder", "link", "usual"))
        os.mkfifo(pipe)
        folder.mkdir()
        usual.write_text("precious")
        link.symlink_to(usual)
        for target in (pipe, folder):
            with self.assertRaises(OSError) as caught:
                picture.save(target)
            self.assertEqual(caught.exception.filename, str(target))
        self.assertTrue(stat.S_ISFIFO(os.lstat(pipe).st_mode))
        picture.save(link)
        self.assertEqual((usual.read_text(), link.is_symlink(), link.read_bytes()), ("precious", False, picture.data))
        if sys.platform == "linux":
            self.assertEqual(os.stat(link).st_mode, os.stat(usual).st_mode)
        self.assertEqual(sorted(each.name for each in self.folder.iterdir()), ["folder", "link", "pipe", "usual"])

    def test_a_notebook_shows_a_png_as_png_and_a_jpeg_as_jpeg(self) -> None:
        client = self.client()
        for form, png in (("png", True), ("jpeg", False)):
            task = client.wait(client.submit(prompt="a cat", size="64x48", output_format=form), timeout=20)
            picture = client.download(task)
            self.assertEqual(picture._repr_png_(), picture.data if png else None)
            self.assertEqual(picture._repr_jpeg_(), None if png else picture.data)


def client_copy(task: imgtask.Task) -> imgtask.Task:
    again = pickle.loads(pickle.dumps(task))
    assert isinstance(again, imgtask.Task)
    return again


class Looks(WithSandbox):
    def test_a_look_at_a_near_service_starts_no_thread(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")

        def refuse(*_: object) -> int:
            raise AssertionError("a thread")

        with unittest.mock.patch("imgtask._calls.patiently", refuse):
            client._near = True
            self.assertEqual(client.fetch(task).id, task.id)
            client._near = False
            with self.assertRaisesRegex(AssertionError, "a thread"):
                client.fetch(task)

    def test_a_slow_look_makes_the_next_one_a_patient_one(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never] [poll.delay:50*2]")
        client._near = True
        client.fetch(task)
        self.assertFalse(client._near)
        client.fetch(task)
        self.assertFalse(client._near)

    def test_both_kinds_of_look_tell_the_same(self) -> None:
        client = self.client()
        done = client.wait(client.submit(prompt="a cat"), timeout=20)
        told = []
        for near in (True, False):
            client._near = near
            told.append({**client.fetch(done).to_dict(), "images": None, "looked_at": None})
        self.assertEqual(told[0], told[1])
        for near in (True, False):
            client._near = near
            with self.assertRaises(imgtask.NotFound):
                client.fetch("img_000000000000000000000000")

    def test_a_task_tells_all_after_its_client_is_gone(self) -> None:
        client = self.sandbox.client()
        task = client.wait(client.submit(prompt="a cat [fail]"), timeout=20, raise_on_failure=False)
        client.close()
        del client
        assert task.failure is not None
        self.assertEqual((task.failure.code, task.provider_status), ("upstream_error", "failed"))
        self.assertEqual(task.raw["status"], "failed")

    def test_many_images_are_all_read(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [many-images:40]"), timeout=20)
        self.assertEqual([image.source_index for image in task.images], list(range(40)))

    def test_threads_look_without_mixing_up_their_tasks(self) -> None:
        client = self.client()
        tasks = [client.submit(prompt=f"cat {number} [never]") for number in range(4)]
        wrong: List[str] = []

        def look(task: imgtask.Task) -> None:
            for _ in range(100):
                seen = client.fetch(task.id)
                if seen.id != task.id or seen.raw["id"] != task.id:
                    wrong.append(seen.id)

        threads = [threading.Thread(target=look, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(wrong, [])


class GoingWrong(WithSandbox):
    def test_a_failed_task_is_raised_with_its_reason_and_what_helps(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [fail:upstream_error]")
        with self.assertRaises(imgtask.TaskFailed) as caught:
            client.wait(task, timeout=20)
        failed = caught.exception
        self.assertEqual((failed.task.id, failed.task_id, failed.state), (task.id, task.id, State.FAILED))
        self.assertEqual(failed.failure.code, "upstream_error")
        self.assertEqual(failed.failure.action, FailureAction.RESUBMIT)
        self.assertIn(failed.failure.message, str(failed))
        self.assertIn("submit it again", str(failed))

    def test_a_refused_request_asks_for_another_one(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.TaskFailed) as caught:
            client.wait(client.submit(prompt="a cat [fail:content_moderation]"), timeout=20)
        self.assertEqual(caught.exception.failure.action, FailureAction.CHANGE_REQUEST)

    def test_a_failed_task_is_returned_when_asked_for(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [fail]"), timeout=20, raise_on_failure=False)
        self.assertEqual((task.state, task.progress), (State.FAILED, None))
        self.assertEqual(client.fetch(task).state, State.FAILED)

    def test_a_wait_that_is_over_carries_the_task(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")
        started = time.monotonic()
        with self.assertRaises(TimeoutError) as caught:
            client.wait(task, timeout=0.3)
        self.assertLess(time.monotonic() - started, 2)
        late = caught.exception
        assert isinstance(late, imgtask.Timeout) and late.task is not None
        self.assertEqual((late.task.id, late.task_id, late.status), (task.id, task.id, imgtask.Status.TIMEOUT))
        self.assertFalse(late.task.is_final)
        self.assertTrue(late.retryable)

    def test_a_wait_of_no_time_is_one_look(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")
        before = client.stats().looks
        with self.assertRaises(imgtask.Timeout):
            client.wait(task, timeout=0)
        self.assertEqual(client.stats().looks, before + 1)

    def test_an_unknown_task_is_not_found(self) -> None:
        for provider in PROVIDERS:
            client = self.client(provider)
            for look in (client.fetch, client.wait):
                with self.assertRaises(imgtask.NotFound) as caught:
                    look("img_000000000000000000000000")
                self.assertEqual(caught.exception.http_status, 404)
                self.assertFalse(caught.exception.retryable)

    def test_a_wrong_key_is_unauthorized(self) -> None:
        client = self.client(api_key="sk-wrong")
        with self.assertRaises(imgtask.Unauthorized) as caught:
            client.submit(prompt="a cat")
        self.assertEqual((caught.exception.http_status, caught.exception.provider_code), (401, "invalid_api_key"))

    def test_a_new_key_is_used_from_the_next_request_on(self) -> None:
        client = self.client(api_key="sk-wrong")
        with self.assertRaises(imgtask.Unauthorized):
            client.submit(prompt="a cat")
        client.set_key(self.sandbox.key("dimilinks"))
        self.assertTrue(client.submit(prompt="a cat").id)

    def test_an_account_without_balance_is_told(self) -> None:
        with self.assertRaises(imgtask.PaymentRequired):
            self.client().submit(prompt="a cat [create.http-402]")

    def test_too_many_requests_tell_how_long_to_wait(self) -> None:
        with self.assertRaises(imgtask.RateLimited) as caught:
            self.client().submit(prompt="a cat [create.rate-limited:7]")
        self.assertEqual(caught.exception.retry_after, 7.0)

    def test_a_lost_answer_is_submit_unknown_and_sent_once(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.SubmitUnknown):
            client.submit(prompt="a cat [lost-reply]")
        self.assertEqual(client.stats().requests, 1)

    def test_trouble_along_the_way_does_not_end_a_wait(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [poll.http-503*1] [poll.reset*1]")
        self.assertEqual(client.wait(task, timeout=30).state, State.SUCCEEDED)

    def test_a_picture_that_is_none_is_refused(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [image-html]"), timeout=20)
        with self.assertRaises(imgtask.BadImage):
            client.download_file(task, self.folder / "cat.png")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_picture_longer_than_its_limit_is_refused(self) -> None:
        client = self.client(max_image_bytes=1000)
        task = client.wait(client.submit(prompt="a cat", size="512x512"), timeout=20)
        with self.assertRaises(imgtask.TooLarge):
            client.download(task)

    def test_an_existing_file_stays_when_asked_to(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), timeout=20)
        file = self.folder / "cat.png"
        file.write_text("mine")
        with self.assertRaises(OSError) as caught:
            client.download_file(task, file, replace=False)
        self.assertIsInstance(caught.exception, imgtask.FileError)
        self.assertEqual(caught.exception.filename, str(file))
        self.assertEqual(pickle.loads(pickle.dumps(caught.exception)).filename, str(file))
        self.assertEqual(file.read_text(), "mine")

    def test_a_service_that_cannot_be_reached_is_a_network_error(self) -> None:
        client = imgtask.Client("dimilinks", "key", "http://127.0.0.1:9")
        with self.assertRaises(imgtask.NetworkError):
            client.fetch("img_0")

    def test_a_cancel_that_the_provider_does_not_know_is_unsupported(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.Unsupported):
            client.cancel(client.submit(prompt="a cat"))

    def test_a_cancelled_task_is_raised_as_such(self) -> None:
        client = self.client("lemondata")
        task = client.submit(prompt="a cat [video] [hold:queued]", model="gpt-image-2")
        self.assertEqual(client.cancel(task).state, State.CANCELLED)
        with self.assertRaises(imgtask.TaskFailed) as caught:
            client.wait(task, timeout=20)
        self.assertEqual(caught.exception.state, State.CANCELLED)

    def test_looks_that_fail_one_after_another_are_counted_until_one_is_answered(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [poll.http-503*2]")
        for failures in (1, 2):
            with self.assertRaises(imgtask.ServerError):
                client.fetch(task)
            self.assertEqual(client.stats().consecutive_failures, failures)
        client.fetch(task)
        self.assertEqual(client.stats().consecutive_failures, 0)

    def test_errors_survive_pickling(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.Error) as caught:
            client.wait(client.submit(prompt="a cat [never]"), timeout=0)
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertIs(type(again), imgtask.Timeout)
        self.assertEqual(str(again), str(caught.exception))
        self.assertEqual((again.task, again.status), (caught.exception.task, imgtask.Status.TIMEOUT))


class Threads(WithSandbox):
    def test_many_threads_wait_on_one_client(self) -> None:
        client = self.client()
        states: List[State] = []
        errors: List[BaseException] = []

        def one(number: int) -> None:
            try:
                task = client.wait(client.submit(prompt=f"cat {number}", size="64x48"), timeout=30)
                states.append(task.state)
                assert client.download(task).width == 64
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual((errors, states), ([], [State.SUCCEEDED] * 12))

    def test_interrupt_ends_a_wait_on_another_thread_and_the_client_goes_on(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")
        took, error = self.ended_by(client, task, client.interrupt)
        self.assertIsInstance(error, imgtask.Cancelled)
        self.assertLess(took, 0.3)
        self.assertEqual(client.fetch(task).id, task.id)

    def test_close_ends_a_wait_on_another_thread(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")
        took, error = self.ended_by(client, task, lambda: self.assertTrue(client.close()))
        self.assertIsInstance(error, imgtask.Cancelled)
        self.assertLess(took, 0.3)
        self.assertTrue(client.closed)
        for call in (lambda: client.fetch(task), lambda: client.submit(prompt="x"), client.stats):
            with self.assertRaises(imgtask.Closed):
                call()
        self.assertTrue(client.close())

    def ended_by(self, client: imgtask.Client, task: imgtask.Task, end: object) -> Tuple[float, BaseException]:
        errors: List[BaseException] = []

        def wait() -> None:
            try:
                client.wait(task, timeout=60)
            except BaseException as error:
                errors.append(error.with_traceback(None))

        thread = threading.Thread(target=wait)
        thread.start()
        deadline = time.monotonic() + 10
        while client.stats().in_flight == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        started = time.monotonic()
        end()  # type: ignore[operator]
        thread.join(10)
        self.assertFalse(thread.is_alive())
        return time.monotonic() - started, errors.pop()

    def test_a_client_is_freed_by_its_last_reference(self) -> None:
        before = imgtask.live_handles()
        client = self.sandbox.client()
        task = client.submit(prompt="a cat")
        self.assertEqual(imgtask.live_handles(), before + 2)
        del client
        self.assertEqual(imgtask.live_handles(), before + 1)
        del task
        self.assertEqual(imgtask.live_handles(), before)
