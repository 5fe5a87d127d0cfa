#!/bin/sh
# Generate the configuration from the environment and run nginx in the foreground; SIGQUIT finishes requests first.
#   start.sh          run
#   start.sh test     only check the configuration
#   start.sh reload   generate it again and reload the running nginx; open streams stay
# Resolves the services' names, so that nginx starts although one of them is down, and again every two seconds, so that
# it finds one that came back at another address.
set -eu
export PATH="$PATH:/usr/local/sbin:/usr/sbin"
here=$(cd "$(dirname "$0")" && pwd)

while IFS= read -r line; do
    case $line in
        GATEWAY_*=*) name=${line%%=*}; eval "[ \"\${$name:+set}\" ] || $name=\${line#*=}"; export "${name?}" ;;
    esac
done < "$here/defaults.env"
export GATEWAY_REDIRECT_TO="${GATEWAY_REDIRECT_TO:-https://\$host}"

# The addresses of host:port as "server …;". A name without an address becomes a port on which no process listens.
servers() {
    host=${1%:*} port=${1##*:}
    case $host in
        '['* | *[!a-zA-Z]*.*[0-9]) found=$host ;;
        *) found=$( (getent ahostsv4 "$host" || getent hosts "$host") 2>/dev/null | awk '{ print $1 }' | sort -u) ;;
    esac
    [ "$found" ] || { found=127.0.0.1; port=9; }
    for address in $found; do
        printf 'server %s:%s max_fails=3 fail_timeout=2s; ' "$address" "$port"
    done
}

look_up() {
    printf '%s\n' "$(servers "$GATEWAY_ACCOUNTS")" "$(servers "$GATEWAY_AGENTS")" \
        "$(servers "$GATEWAY_DOCUMENTS")" "$(servers "$GATEWAY_BILLING")"
}

fill_in() {
    awk '{
        rest = $0; line = ""
        while (match(rest, /\$\{GATEWAY_[A-Z_]+\}/)) {
            name = substr(rest, RSTART + 2, RLENGTH - 3)
            if (!(name in ENVIRON)) { print "gateway: " name " is not set" > "/dev/stderr"; exit 1 }
            line = line substr(rest, 1, RSTART - 1) ENVIRON[name]
            rest = substr(rest, RSTART + RLENGTH)
        }
        line = line rest
        if (line ~ /^ *listen .*\|/) {  # Several addresses: a line for each.
            split(line, around, /listen |;/); count = split(around[2], address, "|")
            flag = sub(/ default_server$/, "", address[count]) ? " default_server" : ""
            for (each = 1; each <= count; each++) print around[1] "listen " address[each] flag ";"
        } else print line
    }' "$here/$1" > "$GATEWAY_RUN/$2.new"
    mv "$GATEWAY_RUN/$2.new" "$GATEWAY_RUN/$2"
}

configure() (
    GATEWAY_ACCOUNTS=$(servers "$GATEWAY_ACCOUNTS")
    GATEWAY_AGENTS=$(servers "$GATEWAY_AGENTS")
    GATEWAY_DOCUMENTS=$(servers "$GATEWAY_DOCUMENTS")
    GATEWAY_BILLING=$(servers "$GATEWAY_BILLING")
    for file in own-headers.conf errors.conf problems.conf; do fill_in $file $file; done
    fill_in "$GATEWAY_TLS" tls.conf
    rm -f "$GATEWAY_RUN/redirect.conf"
    [ -z "$GATEWAY_REDIRECT_LISTEN" ] || fill_in redirect.conf.template redirect.conf
    fill_in nginx.conf.template nginx.conf
)

watch() {
    known=$(look_up)
    while sleep 2 && kill -0 "$1" 2>/dev/null; do
        found=$(look_up)
        if [ "$found" != "$known" ]; then
            known=$found
            configure && kill -HUP "$1"
        fi
    done
}

configure
case ${1:-run} in
    test) exec nginx -e stderr -t -q -c "$GATEWAY_RUN/nginx.conf" ;;
    reload) exec nginx -e stderr -s reload -c "$GATEWAY_RUN/nginx.conf" ;;
esac
case "$GATEWAY_ACCOUNTS $GATEWAY_AGENTS $GATEWAY_DOCUMENTS $GATEWAY_BILLING" in
    *[a-z]*) watch $$ & ;;  # Names, not addresses.
esac
main="daemon off;"
[ "$(id -u)" != 0 ] || [ -z "$GATEWAY_USER" ] || main="$main user $GATEWAY_USER;"
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true  # The maximum for an unprivileged user.
exec nginx -e stderr -c "$GATEWAY_RUN/nginx.conf" -g "$main"
