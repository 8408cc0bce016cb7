"""Labels from a model that compares answers, where there is no gold: `apportion grade --verifier judge`.

guard.py   whether a judge may label at all
asking.py  many comparisons side by side
cache.py   what it has said so far
labels.py  the labels of a whole recording
"""
