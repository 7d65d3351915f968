/** All keys of the reference (operator.md §1.3), with the values of its own example where it has one. */
export const REFERENCE_EXAMPLE = `debug = true
secret = "7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ"
bind-to = "0.0.0.0:3128"
api-bind-to = "127.0.0.1:9090"
proxy-protocol-listener = false
concurrency = 8192
prefer-ip = "prefer-ipv6"
auto-update = false
tolerate-time-skewness = "5s"
allow-fallback-on-unknown-dc = false
public-ipv4 = "203.0.113.1"
public-ipv6 = "2001:db8::1"
domain-fronting-port = 443
domain-fronting-ip = "127.0.0.1"
domain-fronting-proxy-protocol = true

[domain-fronting]
host = "example.com"
ip = "127.0.0.1"
port = 8443
proxy-protocol = false

[throttle]
max-connections = 5000
check-interval = "5s"

[network]
dns = "https://1.1.1.1"
doh-ip = "1.1.1.1"
proxies = []
tcp-not-sent-lowat = "128kib"

[network.timeout]
tcp = "5s"
http = "10s"
idle = "5m"
handshake = "10s"

[network.keep-alive]
disabled = false
idle = "15s"
interval = "15s"
count = 9

[defense.anti-replay]
enabled = true
max-size = "1mib"
error-rate = 0.001

[defense.blocklist]
enabled = true
download-concurrency = 2
urls = ["https://lists.invalid/firehol_level1.netset"]
update-each = "24h"

[defense.allowlist]
enabled = false
download-concurrency = 2
urls = []
update-each = "24h"

[defense.doppelganger]
urls = []
repeats-per-raid = 10
raid-each = "6h"
drs = false

[stats.statsd]
enabled = false
address = "127.0.0.1:8888"
metric-prefix = "mtg"
tag-format = "datadog"

[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:3129"
http-path = "/"
metric-prefix = "mtg"

[secrets]
anna = "7hABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ"
`
