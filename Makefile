# SPDX-License-Identifier: GPL-2.0
# Verbs only: what is compiled how is said in Kbuild and Cargo.toml, how guests are made in selftests/vm/.

VM := selftests/vm
ENTER := $(VM)/enter

.PHONY: help module guest-modules ctl kernels regen check fmt test test-kernel fuzz demo sim crowds clean test-machines demo-vm

help:
	@echo 'make module         ihmp.ko for KDIR=..., this machine'\''s kernel, or the stock guest'
	@echo 'make guest-modules  ihmp.ko for the four guest kernels'
	@echo 'make ctl            ihmpctl and ihmpd, in build/bin'
	@echo 'make kernels        the guest kernels (three are long builds; cached)'
	@echo 'make regen          everything that is generated from uapi/ihmp.yaml'
	@echo 'make check          formatting, lints, stale generated files, house rules'
	@echo 'make test           cargo tests, then the selftests in the guests'
	@echo 'make test-kernel    the kernel'\''s own tests of its network, with us and without (hours; KERNEL_TESTS="GROUP...")'
	@echo 'make test-machines  the cases with two whole machines under systemd, NetworkManager and networkd'
	@echo 'make fuzz           parser and engine under libFuzzer, 600 s each (FUZZ="SECONDS TARGET...")'
	@echo 'make demo           the demonstration on the stock kernel: a table and a picture in build/results'
	@echo 'make demo-vm        two whole machines, and the cable of one is pulled: a table and JSON in build/results'
	@echo 'make sim            the signalling of 2 to 10,000 hosts in simulation: a table and a picture in build/results'
	@echo 'make crowds         crowds of 100 hosts for 2 minutes, with seeds from the commit, or from SEED=N on'
	@echo 'make fmt            formats the Rust sources'
	@echo 'make clean          removes build/ (the cache stays: $${XDG_CACHE_HOME:-~/.cache}/ihmp)'

module:
	@$(VM)/module auto

guest-modules:
	@$(VM)/module stock
	@$(VM)/module uml
	@$(VM)/module debug
	@$(VM)/module kasan

ctl:
	@$(VM)/ctl

kernels:
	@$(VM)/kernel stock
	@$(VM)/kernel uml
	@$(VM)/kernel debug
	@$(VM)/kernel kasan

regen:
	@kdir=$$($(VM)/kernel stock) && KDIR=$$kdir $(ENTER) uapi/regen.sh

check:
	@$(VM)/check

fmt:
	@$(ENTER) cargo fmt
	@$(ENTER) sh -c 'rustfmt --edition 2021 $$(find module -name "*.rs")'

test:
	@$(VM)/test

test-kernel:
	@selftests/kernel/run $(KERNEL_TESTS)

test-machines:
	@selftests/machines/run test.py

fuzz:
	@$(VM)/fuzz $(FUZZ)

demo: ctl
	@$(VM)/module stock
	@selftests/demo/run

demo-vm:
	@selftests/machines/run demo.py

sim:
	@$(VM)/ctl ihmp-sim
	@$(ENTER) build/bin/ihmp-sim all --results build/results

crowds:
	@$(VM)/ctl ihmp-sim
	@selftests/crowds $(SEED)

clean:
	rm -rf build
