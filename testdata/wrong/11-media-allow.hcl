# Who may read images is said for what a run serves itself, in words that name somebody.
plan "media" {}
media {
  directory = "iso"
  url       = "http://192.0.2.1/iso"
  allow     = ["10.0.0.0/8", "build-host.example", "any", "10.0.0.0/33", "10.0.0", "http://a/b", ""]
}
