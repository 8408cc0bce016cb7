"""Which url is asked: a breaker before each, the least busy one, and a session's own while that costs little."""

from __future__ import annotations

from structlog.testing import capture_logs

from router.backends.openai_endpoints import LONGEST_REST_S, REST_S, SLACK, Endpoints

URLS = ("http://a:1", "http://b:1", "http://c:1")


def test_a_url_that_fails_again_and_again_rests_longer_each_time_up_to_a_limit():
    (one,) = Endpoints.of(URLS[:1]).members
    rests, now = [], 100.0
    for _ in range(8):
        one.failed(now)
        rests.append(one.resting_until - now)
        now = one.resting_until
    assert rests[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert rests[-1] == LONGEST_REST_S
    one.worked()
    one.failed(now=100.0)
    assert one.resting_until - 100.0 == REST_S


def test_what_ran_there_when_it_failed_does_not_make_its_rest_longer():
    (one,) = Endpoints.of(URLS[:1]).members
    for number in range(50):
        one.failed(now=100.0 + number / 1000, why=f"{number}")
    assert one.resting_until == 100.0 + REST_S
    assert one.why == "49"
    one.failed(now=200.0)
    assert one.resting_until == 200.0 + 2 * REST_S


def test_requests_that_are_cut_before_anything_came_add_up_and_those_at_one_time_count_once():
    (one,) = Endpoints.of(URLS[:1]).members
    for _ in range(20):
        one.left(asked_at=100.0, now=103.0, most_s=10.0)
    one.left(asked_at=102.0, now=105.0, most_s=10.0)
    one.left(asked_at=200.0, now=204.9, most_s=10.0)
    assert not one.open(now=204.9)
    one.left(asked_at=300.0, now=300.2, most_s=10.0)
    assert one.resting_until == 300.2 + REST_S
    one.left(asked_at=400.0, now=400.1, most_s=10.0)  # tried again, and still not a word
    assert one.resting_until == 400.1 + 2 * REST_S


def test_a_word_ends_what_was_counted_as_silence():
    (one,) = Endpoints.of(URLS[:1]).members
    for at in range(100):
        one.left(asked_at=10.0 * at, now=10.0 * at + 3.0, most_s=10.0)
        if at % 3 == 2:
            one.heard()
    assert one.failures == 0


def test_after_its_rest_one_request_at_a_time_tries_it():
    endpoints = Endpoints.of(URLS[:2])
    a, b = endpoints.members
    a.failed(now=0.0)
    b.in_flight = 5
    assert endpoints.pick(now=1.0) is b
    assert endpoints.pick(now=REST_S + 1) is a  # the trial
    a.in_flight = 1
    assert endpoints.pick(now=REST_S + 1) is b
    a.worked()
    assert endpoints.pick(now=REST_S + 1) is a


def test_where_all_rest_one_is_asked_all_the_same():
    endpoints = Endpoints.of(URLS)
    for one in endpoints.members:
        one.failed(now=0.0)
    assert endpoints.pick(now=1.0, session="s") is not None


def test_a_session_stays_with_one_url_and_sessions_spread_over_all():
    endpoints = Endpoints.of(URLS)
    homes = {f"s{number}": endpoints.pick(0.0, session=f"s{number}") for number in range(300)}
    assert all(endpoints.pick(0.0, session=name) is home for name, home in homes.items())
    shares = [sum(home is one for home in homes.values()) for one in endpoints.members]
    assert min(shares) > 60


def test_a_session_leaves_its_url_when_that_is_much_busier_and_comes_back():
    endpoints = Endpoints.of(URLS)
    home = endpoints.pick(0.0, session="s")
    assert home is not None
    home.in_flight = SLACK
    assert endpoints.pick(0.0, session="s") is home
    home.in_flight = SLACK + 1
    assert endpoints.pick(0.0, session="s") is not home
    home.in_flight = 0
    assert endpoints.pick(0.0, session="s") is home


def test_when_a_url_fails_only_its_own_sessions_move():
    endpoints = Endpoints.of(URLS)
    before = {f"s{number}": endpoints.pick(0.0, session=f"s{number}") for number in range(200)}
    lost = endpoints.members[0]
    lost.failed(now=0.0)
    after = {name: endpoints.pick(1.0, session=name) for name in before}
    assert all(after[name] is home for name, home in before.items() if home is not lost)
    assert all(home is not lost for home in after.values())


def test_its_trouble_is_told_until_it_answers_and_both_are_logged_once():
    endpoints = Endpoints.of(URLS[:2])
    a, _ = endpoints.members
    assert endpoints.trouble == ""
    with capture_logs() as lines:
        a.failed(now=0.0, why="no route")
        a.failed(now=1.0, why="no way " * 100)
        assert endpoints.trouble.startswith("1 of 2 servers failed last: no way")
        assert len(endpoints.trouble) < 350
        a.worked()
        a.worked()
    assert endpoints.trouble == ""
    assert [line["event"] for line in lines] == ["a model server fails", "a model server answers again"]
