#!/usr/bin/env bash
# Asks both ports with OpenSSL for every protocol and every suite that it knows, once with an RSA and once with an ECDSA
# certificate, and for a renegotiation. Fails where anything but TLS 1.2 and 1.3 with forward secrecy and authenticated
# encryption is taken. usage: tests/tls/probe.sh PROGRAM
set -euo pipefail

program=$(realpath "$1")
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon"; rm -rf "$work"' EXIT
cd "$work"

# Everything that this OpenSSL has, the broken ones too.
all='ALL:COMPLEMENTOFALL:@SECLEVEL=0'
strong='^(TLS_AES_(128|256)_GCM_SHA(256|384)|TLS_CHACHA20_POLY1305_SHA256|ECDHE-(RSA|ECDSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305))$'

# start KIND...: a daemon with a certificate of that kind, as the arguments of `openssl req -newkey` say it.
start() {
    openssl req -x509 -nodes -newkey "$@" -keyout key.pem -out cert.pem -subj /CN=localhost -days 30 2>/dev/null
    : >log
    "$program" serve --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --data-dir "data-$1" \
        --tls-cert cert.pem --tls-key key.pem 2>log &
    daemon=$!
    # The log is read as it is written, until it says where the daemon listens.
    listening=$(grep -m 1 -o 'listening http=.*' < <(tail --pid="$daemon" -n +1 -f log 2>/dev/null))
    http=${listening#*http=}
    http=${http%% *}
    lines=${listening#*tcp=}
}

# taken PORT ARGUMENT...: the suite of a handshake; empty where there is none.
taken() {
    local port=$1
    shift
    openssl s_client -connect "$port" "$@" </dev/null 2>&1 | sed -n 's/^New, TLSv1\.[23], Cipher is //p'
}

refuse() {
    echo "NOT REFUSED: $*"
    exit 1
}

probe() {
    local port=$1 version suite got accepted=
    for version in tls1 tls1_1; do
        got=$(openssl s_client -connect "$port" "-$version" -cipher "$all" </dev/null 2>&1 || true)
        [[ $got == *'alert handshake failure'* || $got == *'alert protocol version'* ]] || refuse "$port $version"
    done
    for suite in $(openssl ciphers -s -tls1_2 "$all" | tr : ' '); do
        got=$(taken "$port" -tls1_2 -cipher "$suite:@SECLEVEL=0" || true)
        if [ -n "$got" ] && [ "$got" != '(NONE)' ]; then accepted="$accepted $got"; fi
    done
    for suite in $(openssl ciphers -s -tls1_3 | tr : ' '); do
        got=$(taken "$port" -tls1_3 -ciphersuites "$suite" 2>/dev/null || true)
        if [ -n "$got" ] && [ "$got" != '(NONE)' ]; then accepted="$accepted $got"; fi
    done
    [ "$(wc -w <<<"$accepted")" -ge 5 ] || refuse "$port: only '$accepted' is taken, so this probe shows nothing"
    for suite in $accepted; do
        [[ $suite =~ $strong ]] || refuse "$port $suite"
    done
    printf 'taken:%s\n' "$accepted"
    # OpenSSL asks for a renegotiation at this letter, and ends with the error that the daemon answers.
    got=$(printf 'R\n' | openssl s_client -connect "$port" -tls1_2 2>&1 || true)
    [[ $got == *RENEGOTIATING*'no renegotiation'* ]] || refuse "$port: a renegotiation"
}

for kind in 'rsa:2048' 'ec -pkeyopt ec_paramgen_curve:prime256v1'; do
    # shellcheck disable=SC2086 # two or four words
    start $kind
    for port in "$http" "$lines"; do
        printf '%s %s ' "${kind%% *}" "$port"
        probe "$port"
    done
    kill "$daemon"
    wait "$daemon"
    daemon=
done
echo 'nothing below TLS 1.2, no weak suite, no renegotiation'
