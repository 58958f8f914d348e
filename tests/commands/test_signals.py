"""What runs showed, in progress, in records and in reports."""

from commands_help import make_record

from slipstream import report
from slipstream.commands._writing import signalled, write_report
from slipstream.commands.fit import _step
from slipstream.measure.messages import Reply, TrainingSignalled, read_reply, write_line
from slipstream.progress import Notice
from slipstream.record import Signal, read_record, write_record

DEAD = Signal(epoch=2.0, step=20, kind="dead_units", seen="half of <a>", advice="Mend it.")
SPIKE = DEAD.model_copy(update={"kind": "validation_spike", "epoch": 3.5})


def test_a_record_keeps_its_events(tmp_path):
    record = make_record(events=[DEAD, SPIKE])
    write_record(record, tmp_path)
    assert read_record(tmp_path).events == [DEAD, SPIKE]


def test_progress_warns_of_what_a_worker_tells():
    reply = read_reply(write_line(Reply(number=1, body=TrainingSignalled(signal=DEAD))))
    notice = _step(reply.body, None)
    told = "dead units at epoch 2: half of <a>. Mend it."
    assert notice == Notice(told, warning=True, code="SLP-515")


def test_a_report_tells_each_kind_once_a_side(tmp_path):
    records = tuple(
        make_record(seed, events=events) for seed, events in enumerate(([], [DEAD, SPIKE], [DEAD]))
    )
    side = report.Side(label="candidate", role="winner", records=records)
    baseline = report.Side(label="baseline", role="baseline", records=(make_record(),))
    notices = signalled((baseline, side))
    assert [notice.title for notice in notices] == [
        "candidate: dead units at epoch 2 in 2 of 3 runs",
        "candidate: validation spike at epoch 3.5 in 1 of 3 runs",
    ]
    page = write_report(tmp_path, report.ReportInput(task="digits", sides=(side,))).read_text()
    assert "Half of &lt;a&gt;. Mend it." in page
