"""Words of English that say little, are said for each other, or are opposites: what `text_words` reads texts with.

Groups are separated by commas; the first word of a group stands for all of it.
"""

from __future__ import annotations

IDLE = """
a about again also am an and approximately are around as at be because been being by can could did do does
due for from had has have he her here him his i if in into is it its just may me might much must my of on
one's onto or our own please roughly shall she should since so some still such than that the their them then
there these they this those to too us very was we were what when where which while who whom will with would
you your
"""
SAID_FOR_EACH_OTHER = """
start begin began begun, end finish over, big large great huge, small little, fast quick rapid,
say said state argue claim, buy bought purchase, make made create, turn convert transform change,
parcel package, film movie, car automobile, rise rose risen increase grow grew,
fall fell fallen drop decrease decline, reduce lower, refuse reject deny, accept approve, keep kept store,
need require call, stop quit, leave left depart, live lives dwell, person people human, child kid,
average mean, percent %, kilogram kg kilo, gram g, metre meter m, favour favor, colour color,
probable likely, obtain acquire get got, orbit revolve, go went gone travel, help aid assist,
choose chose chosen choice pick select, build built construct, pay paid, sell sold, write wrote written,
see saw seen, win won, beat defeat, send sent, cause reason, every all each, release publish, arrest detain,
right correct, fear afraid, use employ, repair fix mend, weigh weight, freeze froze frozen, sleep slept,
give gave given, speak spoke spoken talk, run ran, find found, lose lost, show shown display, hold held,
break broke broken, sink sank sunk, teach taught, think thought believe, sit sat lie lay, drive drove driven,
exceed larger bigger greater, know known knew, quicker faster, decide decision,
advise advice recommend recommendation, answer reply response
"""
OPPOSITES = """
true false, valid void, open close, start end, rise fall, accept refuse, right left, hot cold, full empty,
safe dangerous, guilty innocent, pass fail, remember forget, north south, before after, taller shorter,
bigger smaller, larger smaller, heavier lighter, faster slower, better worse, more less, above below,
first last, likely unlikely, known unknown, used unused, sorted unsorted, support contradict, win lose,
old new, early late, black white, day night, man woman, mother son, son daughter, linear quadratic,
confirm deny, atleast atmost, love hate, cheap expensive, long short, many few, inside outside, up down,
ascend descend, maximum minimum, arrive leave, buy sell, lend borrow
"""
DENIALS = """
hardly neither never no nobody none nor not nothing without
"""
NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
"""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
# endings, and how many letters must be left: what takes off the most comes first
ENDINGS = """
ization 4, ational 4, ations 4, ation 4, ingly 4, edly 4, ments 4, ment 4, ness 4, ing 3, ies 3, ied 3, est 4, ed 3,
es 3, ly 4, s 3, e 3, y 3
"""
