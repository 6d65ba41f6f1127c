"""Promise 1 for the queue alone: kill -9 of the queue and deaths of mda at random moments, a thousand messages, each delivered once.

The mda here is a model of the real one: a set of stage files that survives its deaths, and a count of what was renamed into a
Maildir. It dies at any point between doing and saying."""
import os
import random
import select
import time

import pytest

from queue_role import LOCAL, PUT_OK, STEP_OK, Queue, make_db, qid_at


class Model:
    def __init__(self, rng):
        self.rng = rng
        self.stage = set()
        self.count = {}
        self.todo = []          # frames received and not yet worked on

    def die(self):
        """What was received may have been done in part; nothing more is said."""
        for f in self.todo:
            if self.rng.random() < 0.5:
                self.work(f)
        self.todo = []

    def work(self, f):
        out = []
        if f.name == "MDA_STAGE":
            for n, home, folder, stem, head in f.groups(5):
                name = ".stage/%s,S=1" % stem
                self.stage.add((name, f.f[0], n))
                out += [n, STEP_OK, name, 1]
            return "MDA_STAGED", [f.f[0]] + out
        if f.name == "MDA_PUBLISH":
            for qid, n, home, folder, name in f.groups(0):
                if (name, qid, n) in self.stage:
                    self.stage.remove((name, qid, n))
                    self.count[qid, n] = self.count.get((qid, n), 0) + 1
                out += [qid, n, STEP_OK, ""]
            return "MDA_PUBLISHED", out
        return None

    def handle(self, q, f):
        if f.name == "MDA_KEEP":
            self.keep = getattr(self, "keep", set()) | set(f.f)
        elif f.name == "MDA_UNSTAGE":
            keep = getattr(self, "keep", set()) | set(f.f)
            self.keep = set()
            self.stage = {s for s in self.stage if s[0] in keep}
            q.mda.send("MDA_UNSTAGED", 0)
        else:
            self.todo.append(f)


@pytest.mark.parametrize("seed", range(int(os.environ.get("QUEUE_KILLS", "3"))))
def test_kills(tmp_path, seed):
    rng = random.Random(seed)
    make_db(str(tmp_path)).close()
    model = Model(rng)
    acked, sent = {}, {}
    q, n, kills = None, 0, 0
    end = time.time() + 6
    while True:
        if q is None:
            model.die()
            model.keep = set()
            q = Queue(str(tmp_path), peers=("MDA", "SMTPD", "CONTROL"))
            waiting = {}
        over = time.time() > end
        if not over and len(waiting) < 20:
            n += 1
            qid = qid_at(n=rng.randrange(63))
            if qid not in sent:
                sent[qid] = rng.choice((1, 1, 1, 3))
                waiting[n] = qid
                q.put(qid, [(LOCAL, "u%d@example.test" % i) for i in range(sent[qid])], wait=False, id=n)
        ready = select.select([q.mda.s, q.smtpd.s, q.control.s], [], [], 0.005)[0]
        if q.control.s in ready:
            q.control.recv()
        if q.smtpd.s in ready:
            f = q.smtpd.recv()
            qid = waiting.pop(f.id)
            if f.f[0] == PUT_OK:
                acked[qid] = sent[qid]
        if q.mda.s in ready:
            model.handle(q, q.mda.recv())
        while model.todo and rng.random() < 0.7:
            name, out = model.work(model.todo.pop(0))
            q.mda.send(name, *out)
        dice = rng.random()
        if not over and dice < 0.004:
            q.kill()
            kills += 1
            q = None
        elif not over and dice < 0.008:
            # what was said is on its way, what was not said is done or not
            model.die()
            q.drop("MDA")
            q.add("MDA")
            model.keep = set()
            kills += 1
        elif over and not waiting and not model.todo and not ready:
            if q.rows("SELECT count(*) FROM rcpt") == [(0,)] or time.time() > end + 20:
                break
    q.kill()
    for qid, rcpts in acked.items():
        for i in range(rcpts):
            assert model.count.get((qid, i), 0) == 1, (qid, i, model.count.get((qid, i), 0))
    assert all(c == 1 for c in model.count.values())
    assert not model.stage
    print("%d accepted, %d deaths" % (len(acked), kills))
    assert len(acked) > 50 and kills > 0
