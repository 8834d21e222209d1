# Texts of several lines: something behind the word that begins them, and one without an end.

plan "wrong" {}

locals {
  banner = <<EOT Welcome
to the lab
EOT
}
