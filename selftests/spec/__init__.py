# SPDX-License-Identifier: GPL-2.0
"""The cases of nl_spec.py, a file for each kind of object."""
