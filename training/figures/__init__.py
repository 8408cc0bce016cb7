"""Figures of benchmarks: plain functions of accuracies, costs, shares and scores; each file is one family.

`spread` mean and interval over folds, or over queries in many splits · `hull` cost against accuracy ·
`share_curve` APGR and CPT · `ranking` AUROC · `risk` thresholds with a guarantee.
"""
