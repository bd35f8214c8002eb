#!/bin/bash
# Before the box starts: a board without radios of its own gets three that are made of software.
set -eu
modprobe -d / mac80211_hwsim radios=3
