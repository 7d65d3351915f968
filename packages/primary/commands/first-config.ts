import { formatSecretHex, generateSecret } from '#shared/secret'

/** A large host that nobody blocks lightly, and that answers TLS 1.3 everywhere. */
const FIRST_HOST = 'storage.googleapis.com'

/** The config of a first start: one user with a fresh secret, everything else at its default. */
export function buildFirstConfig(): string {
  return `# mtg-multi: the configuration made at the first start. Every other key and its default: example.config.toml.
# After a change, start the program again.

# Where clients connect to. Port 443 passes through most firewalls, but ports below 1024 need privileges.
bind-to = "0.0.0.0:3128"

# Connections and traffic of each user as JSON: http://127.0.0.1:9090/stats
api-bind-to = "127.0.0.1:9090"

# The totals of the users outlive a restart in this file.
state-file = "./state.json"

# The address under which clients reach this host; links are made with it.
#public-ipv4 = "203.0.113.1"

# Who may connect: a name and a secret each. A secret is a key and the host that the connection pretends to visit;
# make one with: mtg-multi generate-secret <hostname>
# Keep this section at the end of the file: a key written below it would be taken for a user.
[secrets]
me = "${formatSecretHex(generateSecret(FIRST_HOST))}"
`
}
