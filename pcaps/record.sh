#!/usr/bin/env bash
# Records the captures of this directory again from scratch: real nginx, Apache httpd and lighttpd in a network namespace of
# their own, with real clients in another. Nothing outside those namespaces is contacted, and no system service is changed.
#
#     pcaps/record.sh [--install] [NAME...]     all captures, or only the named ones (without .pcap)
#
# Needs root and the Debian packages nginx apache2 lighttpd lighttpd-mod-deflate tcpdump curl wget python3 iproute2 ethtool gzip;
# --install installs them.
set -euo pipefail
export LC_ALL=C PATH="/usr/sbin:/sbin:/usr/bin:/bin"

here=$(cd "$(dirname "$0")" && pwd)
packages="nginx apache2 lighttpd lighttpd-mod-deflate tcpdump curl wget python3 iproute2 ethtool gzip"
client="smsentry-client-$$"
server="smsentry-server-$$"
switch="smsentry-switch-$$"
work=""
helpers=()

nginx4=192.0.2.10      nginx6=2001:db8:2::10
apache4=192.0.2.20     apache6=2001:db8:2::20
vlan4=203.0.113.10     vlan6=2001:db8:100::10
apache_exposed=192.0.2.21
soft404=192.0.2.30
exposed=192.0.2.40
home_page=192.0.2.31
leaky=192.0.2.41
lighttpd=192.0.2.42
blog=192.0.2.43
open_proxy=192.0.2.50
agent="Mozilla/5.0 (compatible; example-scanner/1.0)"

log() { echo "record.sh: $*" >&2; }
die() { log "$*"; exit 1; }

# ---- requirements ---------------------------------------------------------------------------------------------------

missing() {
    local tool
    for tool in nginx apache2 lighttpd tcpdump curl wget python3 ip ethtool gzip; do
        command -v "$tool" >/dev/null || printf '%s ' "$tool"
    done
}

install_packages() {
    command -v apt-get >/dev/null || die "--install supports apt-get only (install by hand: $packages)"
    apt-get update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
    # Debian starts a server on installation; here the servers must run inside the namespace only.
    if [ -d /run/systemd/system ]; then systemctl disable --now nginx apache2 lighttpd; fi
}

# ---- network --------------------------------------------------------------------------------------------------------

clean_up() {
    local helper name
    for helper in "${helpers[@]}"; do kill "$helper" 2>/dev/null || true; done
    for name in nginx apache lighttpd; do
        if [ -n "$work" ] && [ -s "$work/$name/$name.pid" ]; then kill "$(cat "$work/$name/$name.pid")" || true; fi
    done
    wait 2>/dev/null || true
    sleep 0.5
    for name in "$client" "$server" "$switch"; do ip netns del "$name" 2>/dev/null || true; done
    if [ -n "$work" ]; then rm -rf "$work"; fi
}

# quiet NAMESPACE INTERFACE MAC: brings the interface up with a fixed address, without offloads and without IPv6's own traffic.
quiet() {
    ip -n "$1" link set "$2" address "$3"
    ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.addr_gen_mode=1" "net.ipv6.conf.$2.router_solicitations=0" \
        "net.ipv6.conf.$2.accept_ra=0" "net.ipv6.conf.$2.accept_dad=0"
    ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
    ip -n "$1" link set "$2" up
}

# neighbours NAMESPACE INTERFACE MAC ADDRESS...: static entries, so that no ARP or ND packets are captured.
neighbours() {
    local namespace=$1 interface=$2 mac=$3 address
    shift 3
    for address; do ip -n "$namespace" neigh replace "$address" lladdr "$mac" dev "$interface" nud permanent; done
}

network() {
    local name address
    for name in "$client" "$server" "$switch"; do ip netns add "$name"; ip -n "$name" link set lo up; done

    # A cable between client and server.
    ip link add c0 netns "$client" type veth peer name s0 netns "$server"
    quiet "$client" c0 02:00:00:00:00:07
    quiet "$server" s0 02:00:00:00:00:10
    ip -n "$client" addr add 198.51.100.7/32 dev c0
    ip -n "$client" route add 192.0.2.0/24 dev c0 src 198.51.100.7
    ip -n "$client" addr add 2001:db8:2::7/64 dev c0 nodad
    ip -n "$server" route add 198.51.100.0/24 dev s0
    for address in 10 20 21 30 31 40 41 42 43 50 60; do ip -n "$server" addr add "192.0.2.$address/24" dev s0; done
    ip -n "$server" addr add "$nginx6/64" dev s0 nodad
    ip -n "$server" addr add "$apache6/64" dev s0 nodad
    neighbours "$client" c0 02:00:00:00:00:10 192.0.2.{10,20,21,30,31,40,41,42,43,50} "$nginx6" "$apache6"
    neighbours "$server" s0 02:00:00:00:00:07 198.51.100.7 2001:db8:2::7

    # The same two namespaces over a switch with a mirror port.
    ip link add c1 netns "$client" type veth peer name port1 netns "$switch"
    ip link add s1 netns "$server" type veth peer name port2 netns "$switch"
    quiet "$client" c1 02:00:00:00:01:07
    quiet "$server" s1 02:00:00:00:01:10
    quiet "$switch" port1 02:00:00:00:02:01
    quiet "$switch" port2 02:00:00:00:02:02
    ip -n "$client" addr add 203.0.113.7/24 dev c1
    ip -n "$client" addr add 2001:db8:100::7/64 dev c1 nodad
    ip -n "$server" addr add "$vlan4/24" dev s1
    ip -n "$server" addr add "$vlan6/64" dev s1 nodad
    neighbours "$client" c1 02:00:00:00:01:10 "$vlan4" "$vlan6"
    neighbours "$server" s1 02:00:00:00:01:07 203.0.113.7 2001:db8:100::7
    ip -n "$switch" tuntap add mirror0 mode tap
    quiet "$switch" mirror0 02:00:00:00:02:03
    ip -n "$switch" tuntap add mirror1 mode tun
    ip netns exec "$switch" sysctl -qw net.ipv6.conf.mirror1.addr_gen_mode=1
    ip -n "$switch" link set mirror1 up
    sleep 2 # until the interfaces have sent the packets that they send when they come up
}

# ---- servers --------------------------------------------------------------------------------------------------------

page() { printf '<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1>%s</body></html>\n' "$1" "$1" "$2"; }

# An ordinary site: a home page, pictures, one SMS plugin, one configuration file that should not be there.
make_site() {
    local site=$1
    mkdir -p "$site"/{images,login,blog,sms/api,twilio} "$site/wp-content/plugins/wp-sms/assets/css"
    page "Example" '<p>Nothing to see.</p><img src="/images/nagios-sms5.png" alt="">' >"$site/index.html"
    page "Sign in" "" >"$site/login/index.html"
    page "How to send an SMS" "<p>A blog post.</p>" >"$site/blog/how-to-send-an-sms.html"
    printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6\0\0\0' >"$site/images/nagios-sms5.png"
    printf '#wpadminbar .wp-sms { display: block }\n' >"$site/wp-content/plugins/wp-sms/assets/css/admin-bar.css"
    printf '{"provider": "example", "api_key": "EXAMPLE-NOT-A-KEY"}\n' >"$site/sms_config.json"
    printf 'nothing\n' >"$site/twilio/.secrets"
}

# A site that exposes the files that are probed for. Every "secret" is marked as an example.
make_exposed() {
    local site=$1
    mkdir -p "$site/twilio/.config/bin/aws/lib"
    page "Example" "" >"$site/index.html"
    printf '{"provider": "twilio", "account_sid": "ACEXAMPLE-NOT-A-SID", "auth_token": "EXAMPLE-NOT-A-TOKEN"}\n' \
        >"$site/sms_config.json"
    printf 'TWILIO_ACCOUNT_SID=ACEXAMPLE-NOT-A-SID\nTWILIO_AUTH_TOKEN=EXAMPLE-NOT-A-TOKEN\n' \
        >"$site/twilio/.config/bin/aws/lib/.env"
    cp "$site/twilio/.config/bin/aws/lib/.env" "$site/twilio/.secrets"
    # shellcheck disable=SC2016
    printf '<?php\n$twilio_sid = "ACEXAMPLE-NOT-A-SID";\n$twilio_token = "EXAMPLE-NOT-A-TOKEN";\n' >"$site/twillio_creds.php"
    printf '{"activeProfiles":["prod"],"propertySources":[{"name":"systemEnvironment","properties":{"TWILIO_AUTH_TOKEN":{"value":"******"}}}]}\n' \
        >"$site/actuator-env.json"
    printf 'print("EXAMPLE")\n' >"$site/sms.py"
    printf 'MZ EXAMPLE, NOT A PROGRAM\n' >"$site/Sms_Bomber.exe"
}

# Secrets that are proven by their first bytes, and some that are not: one too far from the beginning, one without a value.
make_leaky() {
    local site=$1 line
    mkdir -p "$site/twilio"
    printf 'TWILIO_ACCOUNT_SID=AC00000000000000000000000000000000\nTWILIO_AUTH_TOKEN=EXAMPLE-NOT-A-TOKEN\n' >"$site/twilio/.env"
    for line in $(seq 10 50); do printf '# %s: an example, and nothing else\n' "$line"; done >"$site/twilio/.secrets"
    cat "$site/twilio/.env" >>"$site/twilio/.secrets"
    printf '{"provider": "example", "sender": "EXAMPLE"}\n' >"$site/sms_config.json"
    # shellcheck disable=SC2016
    printf '<?php\n$twilio_sid = "AC00000000000000000000000000000000";\n' >"$site/twillio_creds.php"
    printf '{"activeProfiles":["prod"],"propertySources":[{"name":"systemEnvironment","properties":{"TWILIO_AUTH_TOKEN":{"value":"******"}}}]}\n' \
        >"$site/actuator-env.json"
}

# A home page that contains key names as text.
make_home() {
    mkdir -p "$1"
    page "How to keep keys" "<pre>TWILIO_AUTH_TOKEN=EXAMPLE-NOT-A-TOKEN</pre><p>\"propertySources\"</p>" >"$1/index.html"
}

# A WordPress-like blog; its pages load the plugins' style sheets.
make_blog() {
    local site=$1 sheet sheets=(plugins/wp-sms/assets/css/admin-bar.css plugins/contact-form-7/includes/css/styles.css themes/twentytwentyone/style.css)
    for sheet in "${sheets[@]}"; do
        mkdir -p "$site/wp-content/${sheet%/*}"
        printf '.example { display: block }\n' >"$site/wp-content/$sheet"
    done
    page "Blog" "$(printf '<link rel="stylesheet" href="/wp-content/%s?ver=6.5">' "${sheets[@]}")" >"$site/index.html"
}

servers() {
    mkdir -p "$work/nginx/temp" "$work/apache" "$work/lighttpd"
    make_leaky "$work/nginx/leaky"
    make_leaky "$work/lighttpd/leaky"
    make_home "$work/nginx/home"
    make_blog "$work/nginx/blog"
    make_site "$work/nginx/site"
    make_exposed "$work/nginx/exposed"
    cp -r "$work/nginx/site" "$work/nginx/exposed" "$work/apache/"
    : >"$work/nginx/htpasswd"
    chmod -R a+rX "$work"
    ip netns exec "$server" nginx -p "$work/nginx/" -c "$here/servers/nginx.conf" -e error.log
    ip netns exec "$server" env SITE="$work/lighttpd/leaky" PIDFILE="$work/lighttpd/lighttpd.pid" \
        lighttpd -f "$here/servers/lighttpd.conf"
    # In this namespace only: the open proxy resolves the requested name without DNS.
    printf '192.0.2.60 sms-activate.org\n' >"$work/hosts"
    # shellcheck disable=SC2016
    ip netns exec "$server" sh -c 'mount --bind "$1/hosts" /etc/hosts && exec apache2 -d "$1/apache" -f "$2"' \
        sh "$work" "$here/servers/apache.conf"
    sleep 1
}

# ---- clients --------------------------------------------------------------------------------------------------------

in_client() { ip netns exec "$client" env -i "PATH=$PATH" "LC_ALL=C" "$@"; }
url_host() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }

# by_curl ADDRESS TARGET...: one connection, targets unchanged.
by_curl() {
    local address target urls=()
    address=$(url_host "$1")
    shift
    for target; do urls+=("http://$address$target" -o /dev/null); done
    in_client curl -qgsS --path-as-is -A "$agent" -m 5 "${urls[@]}" || true
}

# curl_with OPTION... URL
curl_with() { in_client curl -qgsS -A "$agent" -m 5 -o /dev/null "$@" || true; }

# by_wget ADDRESS TARGET...: one connection; wget encodes the targets.
by_wget() {
    local address target urls=()
    address=$(url_host "$1")
    shift
    for target; do urls+=("http://$address$target"); done
    in_client wget --no-config -nv --no-proxy --tries=1 --timeout=5 --max-redirect=0 -U "$agent" -O /dev/null "${urls[@]}" || true
}

by_python() { in_client python3 -I "$here/ask.py" "$@"; }

# through_proxy ADDRESS URL: curl's proxy request, CONNECT for https.
through_proxy() { curl_with -k -x "http://$1:80" "$2"; }

# Every request of diary.txt, verbatim and once, by four clients; then curl's form of the proxy test.
diary() {
    local address=$1 d
    mapfile -t d <"$here/diary.txt"
    by_curl "$address" "${d[@]:0:5}"
    by_curl "$address" "${d[@]:5:2}"
    by_wget "$address" "${d[@]:7:2}"
    by_python lines "$address" "GET ${d[9]} HTTP/1.1"
    by_python client "$address" "${d[@]:10:5}"
    by_curl "$address" "${d[@]:15:3}"
    by_python lines "$address" "GET ${d[18]} HTTP/1.1"
    through_proxy "$(url_host "$address")" "${d[18]}"
}

few() {
    by_curl "$1" / /sms_config.json /wp-content/plugins/wp-sms/assets/css/admin-bar.css
    by_wget "$1" /sms/api/
    by_python client "$1" /twilio/.secrets /images/nagios-sms5.png
}

# ---- recording ------------------------------------------------------------------------------------------------------

# record NAME NAMESPACE INTERFACE [TCPDUMP OPTION...] -- COMMAND...
record() {
    local name=$1 namespace=$2 interface=$3 file="$work/$1.pcap" options=() dump
    shift 3
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    log "$name.pcap"
    ip netns exec "$namespace" tcpdump -i "$interface" -n -U --immediate-mode -Z root -w "$file" "${options[@]}" 2>"$work/tcpdump.log" &
    dump=$!
    helpers+=("$dump")
    until grep -q 'listening on' "$work/tcpdump.log"; do
        kill -0 "$dump" 2>/dev/null || die "tcpdump: $(cat "$work/tcpdump.log")"
        sleep 0.05
    done
    "$@" >&2
    sleep 0.5
    kill -INT "$dump"
    wait "$dump" || die "tcpdump: $(cat "$work/tcpdump.log")"
    grep -q '^0 packets dropped by kernel' "$work/tcpdump.log" || die "tcpdump lost packets of $name"
    chmod 644 "$file"
    mv "$file" "$here/$name.pcap"
}

# over_switch SWITCH ARGUMENT... -- COMMAND...: runs the command while the switch is running.
over_switch() {
    local arguments=() running
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    shift
    ip netns exec "$switch" python3 -I "$here/switch.py" port1 port2 "${arguments[@]}" &
    running=$!
    helpers+=("$running")
    sleep 0.5
    "$@"
    kill "$running"
    wait "$running" 2>/dev/null || true
}

# ---- captures: README.md describes each one -------------------------------------------------------------------------

nginx_visit() {
    by_python client "$nginx4" / /images/nagios-sms5.png
    diary "$nginx4"
}

record_nginx-ipv4() { record nginx-ipv4 "$client" c0 -- nginx_visit; }
record_apache-ipv4() { record apache-ipv4 "$client" c0 -- diary "$apache4"; }
record_nginx-ipv6() { record nginx-ipv6 "$client" c0 --time-stamp-precision=nano -- diary "$nginx6"; }
record_apache-ipv6() { record apache-ipv6 "$client" c0 -- few "$apache6"; }
record_soft-404() { record soft-404 "$client" c0 -- diary "$soft404"; }

both_families() { few "$vlan4"; few "$vlan6"; }
record_vlan() { over_switch tap mirror0 --tag 8100:100 -- record vlan "$switch" mirror0 -- both_families; }
record_qinq() { over_switch tap mirror0 --tag 88a8:200 --tag 8100:30 -- record qinq "$switch" mirror0 -- both_families; }
record_mirrored-twice() { over_switch tap mirror0 --twice -- record mirrored-twice "$switch" mirror0 -- few "$vlan4"; }
record_raw-ip() { over_switch tun mirror1 -- record raw-ip "$switch" mirror1 -- both_families; }

record_cooked() { record cooked "$client" any -y LINUX_SLL2 -- few "$nginx4"; }
record_cooked-v1() { record cooked-v1 "$client" any -y LINUX_SLL -- few "$nginx4"; }
record_one-sided() { record one-sided "$client" c0 -Q out -- few "$nginx4"; }

exposed_visit() {
    by_curl "$exposed" /sms_config.json /twilio/.config/bin/aws/lib/.env /twilio/.secrets /sms/actuator/env /sms.py /Sms_Bomber.exe
    curl_with --compressed "http://$exposed/sms_config.json"
    curl_with -I "http://$exposed/sms_config.json"
    curl_with --etag-save "$work/etag" "http://$exposed/sms_config.json"
    curl_with --etag-compare "$work/etag" "http://$exposed/sms_config.json"
    curl_with -r 0-15 "http://$exposed/sms_config.json"
    by_wget "$apache_exposed" /twillio_creds.php /sms_config.json /sms.py
    by_python client "$apache_exposed" /Sms_Bomber.exe /twilio/.secrets
}
record_exposed() { record exposed "$client" c0 -- exposed_visit; }

proxy_tests() {
    local server
    for server in "$nginx4" "$apache4"; do
        by_python lines "$server" \
            "GET https://sms-activate.org HTTP/1.1" \
            "GET https://sms-activate.org/ HTTP/1.1" \
            "GET http://sms-activate.org:80/stubs/handler_api.php?action=getBalance HTTP/1.1" \
            "GET HTTPS://WWW.SMS-Activate.ORG:443/en HTTP/1.1" \
            "CONNECT sms-activate.org:443 HTTP/1.1" \
            "GET https://sms-activate.org.example.net/ HTTP/1.1" \
            "GET https://notsms-activate.org/ HTTP/1.1" \
            "GET /?url=https://sms-activate.org HTTP/1.1"
        through_proxy "$server" http://sms-activate.org/
        through_proxy "$server" https://sms-activate.org/
    done
}
record_proxy-test() { record proxy-test "$client" c0 -- proxy_tests; }

open_proxy_visit() {
    through_proxy "$open_proxy" http://sms-activate.org/
    through_proxy "$open_proxy" https://sms-activate.org/
}
record_open-proxy() { record open-proxy "$client" c0 -- open_proxy_visit; }

benign_visit() {
    by_curl "$nginx4" / /images/nagios-sms5.png /blog/how-to-send-an-sms.html /login/ '/search?q=/sms_config.json' \
        /presentations/nagios-sms5.png /track/smsa-express /wp-content/plugins/zotpress/css/zotpress.css \
        /transmission/smstat /wp-content/plugins/contact-form/css/admin-bar.css
    by_wget "$apache4" / /images/nagios-sms5.png /blog/how-to-send-an-sms.html
    by_python client "$apache4" /login/ /images/nagios-sms5.png
}
record_benign() { record benign "$client" c0 -- benign_visit; }

disguised() {
    local server
    for server in "$nginx4" "$apache4"; do
        by_python lines "$server" \
            "GET /sms%5Fconfig%2Ejson HTTP/1.1" \
            "GET /%73%6d%73%255fconfig.json HTTP/1.1" \
            "GET /SMS_Config.JSON HTTP/1.1" \
            "GET //sms//env HTTP/1.1" \
            "GET /./sms/./env HTTP/1.1" \
            "GET /images/../sms/actuator/env HTTP/1.1" \
            "GET /sms\\api\\ HTTP/1.1" \
            "GET /twilio;v=1/.secrets;x=2 HTTP/1.1" \
            "GET /sms.py%20 HTTP/1.1" \
            "GET /Sms_Bomber.exe./ HTTP/1.1" \
            "GET /sms/api HTTP/1.1" \
            "GET /sms_config.json?cache=1#top HTTP/1.1" \
            "GET /blog/wp-content/plugins/wp-sms/assets/css/admin-bar.css?ver=6.5 HTTP/1.1" \
            "GET /twilio-labs/%2e%2e/twilio-labs/configure-env HTTP/1.1"
        by_wget "$server" "/api/v1/livechat/sms-incoming/%%target%%/wp-content/themes/twentytwentyone/assets/css/print.css"
    done
}
record_disguises() {
    record disguises "$client" c0 -- disguised
    gzip -9nf "$here/disguises.pcap"
}

pipelines() {
    by_python pipeline "$nginx4" "GET / HTTP/1.1" "GET /sms_config.json HTTP/1.1" "HEAD /sms_config.json HTTP/1.1" \
        "GET /sms/env HTTP/1.1" "GET /images/nagios-sms5.png HTTP/1.1" "GET /sms/api/ HTTP/1.1" \
        "GET /wp-content/plugins/wp-sms/assets/css/admin-bar.css HTTP/1.1" "GET /twilio/.secrets HTTP/1.1"
    by_python pipeline "$apache4" "GET /twilio-labs/configure-env HTTP/1.1" "GET /sms_config.json HTTP/1.1" "GET / HTTP/1.1"
    by_python bodies "$nginx4"
    by_python bodies "$apache4"
}
record_pipelined() { record pipelined "$client" c0 -- pipelines; }

bodies_visit() {
    local coding
    by_curl "$leaky" /twilio/.env /twilio/.secrets /sms_config.json /twillio_creds.php /sms/actuator/env
    curl_with --compressed "http://$leaky/twilio/.env" -o /dev/null "http://$leaky/twilio/.secrets" -o /dev/null "http://$leaky/sms/actuator/env"
    curl_with --http1.0 --compressed "http://$leaky/twilio/.env"
    curl_with -I "http://$leaky/twilio/.env"
    curl_with -r 0-40 "http://$leaky/twilio/.env"
    for coding in identity deflate gzip br zstd; do curl_with -H "Accept-Encoding: $coding" "http://$lighttpd/twilio/.env"; done
    curl_with -H "Accept-Encoding: deflate" "http://$lighttpd/twilio/.secrets"
}
record_bodies() { record bodies "$client" c0 -- bodies_visit; }

home_page_visit() {
    by_curl "$home_page" / /twilio/.env /sms/actuator/env /sms_config.json /twillio_creds.php
    curl_with --compressed "http://$home_page/twilio/.env"
    curl_with -I "http://$home_page/sms_config.json"
}
record_home-page() { record home-page "$client" c0 -- home_page_visit; }

# A browser's visit: the page, the files that it loads, and the same again, answered with 304.
blog_visit() {
    local sheet since urls=() options=(-qgsS -m 5 -A "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" -H "Host: www.example.org")
    for sheet in plugins/wp-sms/assets/css/admin-bar.css plugins/contact-form-7/includes/css/styles.css themes/twentytwentyone/style.css; do
        urls+=(-o /dev/null "http://$blog/wp-content/$sheet?ver=6.5")
    done
    for since in "Thu, 01 Jan 1970 00:00:01 GMT" "$(date -Ru)"; do
        in_client curl "${options[@]}" -o /dev/null "http://$blog/" --next \
            "${options[@]}" -H "If-Modified-Since: ${since/+0000/GMT}" -e "http://www.example.org/" "${urls[@]}"
    done
}
record_wordpress() { record wordpress "$client" c0 -- blog_visit; }

captures=(nginx-ipv4 apache-ipv4 nginx-ipv6 apache-ipv6 soft-404 vlan qinq mirrored-twice raw-ip cooked cooked-v1
    one-sided exposed proxy-test open-proxy benign disguises pipelined bodies home-page wordpress)

main() {
    local name lacking wanted=()
    [ "$(id -u)" = 0 ] || die "needs root, for network namespaces and capture"
    for name; do
        case $name in
        --install) install_packages ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) declare -F "record_$name" >/dev/null || die "no capture is called $name; known: ${captures[*]}"
            wanted+=("$name") ;;
        esac
    done
    lacking=$(missing)
    [ -z "$lacking" ] || die "missing: $lacking; on Debian: apt-get install $packages (or record.sh --install)"

    trap clean_up EXIT
    trap 'exit 130' INT TERM
    work=$(mktemp -d)
    chmod 755 "$work"
    network
    servers
    [ ${#wanted[@]} -gt 0 ] || wanted=("${captures[@]}")
    for name in "${wanted[@]}"; do "record_$name"; done
    log "recorded with $(nginx -v 2>&1), $(apache2 -v | sed -n 's/^Server version: //p'), $(lighttpd -v | cut -d' ' -f1), $(tcpdump --version 2>&1 | head -2 | paste -sd' ')"
}

main "$@"
