# SPDX-License-Identifier: GPL-2.0
"""Traffic of traffic.py: streams, datagrams and pings, and what they share."""
