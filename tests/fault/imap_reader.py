"""A reader through Dovecot's IMAP: it moves mail out of INBOX or deletes it, as soon as it is there, and counts what it took."""
import collections
import imaplib
import re
import threading
import time

AT_ONCE = 40
ROW = re.compile(rb"UID (\d+)")
NAME = re.compile(rb"Message-ID: <([^>]*)>", re.I)


class ImapReader:
    """One session for each user: {address: password}."""

    def __init__(self, dovecot, users):
        self.dovecot, self.ending, self.copies = dovecot, threading.Event(), collections.Counter()
        self.moved = self.deleted = 0
        self.failure = None
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=user, daemon=True) for user in users.items()]

    def run(self, address, password):
        try:
            imap = self.dovecot.login(address, password)
            imap.create("Kept")
            imap.select("INBOX")
            while True:
                last = self.ending.is_set()
                if self.take(imap, address) == 0:
                    if last:
                        break
                    time.sleep(0.01)
            imap.logout()
        except (OSError, imaplib.IMAP4.error, AssertionError) as e:
            self.failure = f"{address}: {e!r}"

    def take(self, imap, address):
        """What is in INBOX now, of it every second mail is moved, the others are deleted. Returns how many."""
        imap.noop()
        uids = self.done(imap.uid("search", None, "ALL"))[0].split()[:AT_ONCE]
        if not uids:
            return 0
        rows = [r for r in self.done(imap.uid("fetch", b",".join(uids).decode(), "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
                if isinstance(r, tuple)]
        assert len(rows) == len(uids), f"{len(rows)} of {len(uids)} mails can be fetched"
        for i, (head, text) in enumerate(rows):
            uid = ROW.search(head).group(1).decode()
            if i % 2 == 0:
                self.done(imap.uid("move", uid, "Kept"))
            else:
                self.done(imap.uid("store", uid, "+FLAGS", "\\Deleted"))
        self.done(imap.expunge())
        with self.lock:
            for _, text in rows:
                found = NAME.search(text)
                self.copies[found.group(1).decode() if found else "none", address] += 1
            self.moved += (len(rows) + 1) // 2
            self.deleted += len(rows) // 2
        return len(rows)

    @staticmethod
    def done(answer):
        assert answer[0] == "OK", answer
        return answer[1]

    def stop(self):
        """INBOX is empty before it ends. Returns the copies."""
        self.ending.set()
        for t in self.threads:
            t.join(120)
            assert not t.is_alive(), "a session with Dovecot hangs"
        assert self.failure is None, self.failure
        return self.copies

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
