#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes Documentation/netlink.rst anew on standard output: its hand-written first half, up to the line that says so, is
kept, and the reference is made from the spec."""

import contextlib
import io
import sys
import textwrap

import yaml

MARK = ".. What follows is made by"
WIDTH = 118


def title(text, line):
    print(f"{text}\n{line * len(text)}\n")


def paragraph(text, indent=""):
    print(textwrap.fill(" ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=indent,
                        break_on_hyphens=False) + "\n")


def code(name):
    return f"``{name}``"


def listing(lead, names):
    paragraph(f"{lead}: {', '.join(code(name) for name in names) or 'no attributes'}.")


def render_attribute(attr):
    """An attribute as a definition: its name and type, then what it means."""
    checks = attr.get("checks", {})
    parts = [attr["type"]]
    if attr["type"] == "nest":
        parts = [f"of the set {code(attr['nested-attributes'])}"]
    if "enum" in attr:
        parts.append(f"a value of {code(attr['enum'])}")
    if "min" in checks and "max" in checks:
        parts.append(f"from {checks['min']} to {checks['max']}")
    elif "min" in checks:
        parts.append(f"at least {checks['min']}")
    elif "max" in checks:
        parts.append(f"at most {checks['max']}")
    if "max-len" in checks:
        limit = checks["max-len"]
        parts.append(f"at most {limit if isinstance(limit, int) else code(limit)} octets")
    if attr.get("multi-attr"):
        parts.append("may be repeated")
    print(f"{code(attr['name'])} ({', '.join(parts)})")
    paragraph(attr["doc"], "  ")


def render_sets(sets):
    title("Attributes", "=")
    for one in sets:
        title(one["name"], "-")
        paragraph(one["doc"])
        for attr in one["attributes"]:
            if attr["type"] != "pad":
                render_attribute(attr)


def render_operation(operation):
    title(operation["name"], "-")
    paragraph(operation["doc"])
    if "attribute-set" in operation:
        paragraph(f"Attributes are of the set {code(operation['attribute-set'])}.")
    for mode in ("do", "dump"):
        if mode not in operation:
            continue
        message = operation[mode]
        listing(f"Request ({mode})", message.get("request", {}).get("attributes", []))
        if "reply" in message:
            listing(f"Reply ({mode})", message["reply"]["attributes"])
    if "event" in operation:
        listing("Carries", operation["event"]["attributes"])
    if "notify" in operation:
        paragraph(f"Carries what a reply to {code(operation['notify'])} does.")
    if "uns-admin-perm" in operation.get("flags", []):
        paragraph("Needs CAP_NET_ADMIN.")


def render_operations(operations):
    title("Commands", "=")
    for one in operations:
        if "mcgrp" not in one:
            render_operation(one)
    title("Events", "=")
    for one in operations:
        if "mcgrp" in one:
            render_operation(one)


def render_definitions(definitions):
    title("Values", "=")
    for one in definitions:
        title(one["name"], "-")
        paragraph(one["doc"])
        if one["type"] == "const":
            print(f"{one['value']}\n")
        elif all(isinstance(entry, dict) for entry in one["entries"]):
            for number, entry in enumerate(one["entries"]):
                print(f"{number}, {code(entry['name'])}")
                paragraph(entry["doc"], "  ")
        else:
            paragraph("; ".join(f"{number}, {code(name)}" for number, name in enumerate(one["entries"])) + ".")


def render_reference(spec):
    title("Reference", "=")
    paragraph(spec["doc"])
    render_operations(spec["operations"]["list"])
    render_sets(spec["attribute-sets"])
    render_definitions(spec["definitions"])


def main(spec_path, page_path):
    with open(spec_path, encoding="utf-8") as stream:
        spec = yaml.safe_load(stream)
    with open(page_path, encoding="utf-8") as stream:
        for line in stream:
            print(line, end="")
            if line.startswith(MARK):
                break
        else:
            sys.exit(f"{page_path}: no line that begins with {MARK!r}")
    reference = io.StringIO()
    with contextlib.redirect_stdout(reference):
        render_reference(spec)
    print("\n" + reference.getvalue().rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: gen-rst.py SPEC PAGE")
    main(*sys.argv[1:])
