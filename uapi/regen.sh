#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regen.sh [--check]: makes everything that is generated from uapi/ihmp.yaml; --check only compares.
#
# KDIR names the kernel tree whose tools/net/ynl is used (of the series that the committed files were made with: 7.2), a
# source tree or a build tree beside it; without it module/kdir is asked. Needs python3 with yaml and jsonschema, and
# rustfmt.

set -euo pipefail
cd "$(dirname "$0")/.."

die() {
	echo "regen.sh: $*" >&2
	exit 1
}

case ${1:-} in
'') CHECK= ;;
--check) CHECK=yes ;;
*) die "usage: regen.sh [--check]" ;;
esac

[ -n "${KDIR:-}" ] || KDIR=$(module/kdir) || die "set KDIR to a kernel source tree"
[ -e "$KDIR/tools/net/ynl" ] || KDIR=$KDIR/source
for file in tools/net/ynl/pyynl/ynl_gen_c.py Documentation/netlink/genetlink.yaml; do
	[ -e "$KDIR/$file" ] || die "no $file in $KDIR"
done

TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

# The tool wants an absolute path, the schema one folder above the spec's, and a file MAINTAINERS at the root.
mkdir -p "$TMP"/root/uapi/specs "$TMP"/out/{uapi/linux,uapi/rust/src,module/shim,Documentation}
touch "$TMP/root/MAINTAINERS"
cp uapi/ihmp.yaml "$TMP/root/uapi/specs/"
cp "$KDIR/Documentation/netlink/genetlink.yaml" "$TMP/root/uapi/"

# ynl MODE PART FILE
ynl() {
	python3 -B "$KDIR/tools/net/ynl/pyynl/ynl_gen_c.py" --spec "$TMP/root/uapi/specs/ihmp.yaml" \
		--mode "$1" "--$2" -o "$TMP/out/$3"
	sed -i -e 's,uapi/specs/ihmp.yaml,uapi/ihmp.yaml,' -e 's,tools/net/ynl/ynl-regen.sh,uapi/regen.sh,' "$TMP/out/$3"
}

ynl uapi header uapi/linux/ihmp.h
ynl kernel header module/shim/netlink_gen.h
ynl kernel source module/shim/netlink_gen.c
uapi/gen-rust.py uapi/ihmp.yaml | rustfmt --edition 2021 >"$TMP/out/uapi/rust/src/lib.rs"
uapi/gen-rst.py uapi/ihmp.yaml Documentation/netlink.rst >"$TMP/out/Documentation/netlink.rst"

FAILED=
while read -r file; do
	if cmp -s "$TMP/out/$file" "$file"; then
		continue
	elif [ -n "$CHECK" ]; then
		diff -u --label "$file" "$file" --label "$file, as uapi/ihmp.yaml makes it" "$TMP/out/$file" || FAILED=yes
	else
		mkdir -p "$(dirname "$file")"
		cp "$TMP/out/$file" "$file"
		echo "$file"
	fi
done < <(cd "$TMP/out" && find . -type f -printf '%P\n' | sort)
[ -z "$FAILED" ] || die "generated files differ from uapi/ihmp.yaml: run uapi/regen.sh"
