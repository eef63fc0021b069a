# SPDX-License-Identifier: Apache-2.0
# For tests that need the network: skip_offline LOG, after cargo has failed.
skip_offline() {
    if grep -qE 'spurious network error|failed to download|Could not resolve|failed to fetch' "$1"; then
        echo "skipped: no network"
        exit 77
    fi
}
