package bmc

// Advice is what a message of a BMC means in plain words.
type Advice struct {
	Text  string
	Next  string // what to do
	Retry bool   // the same request may succeed later
}

// catalogue translates the messages of the standard registries; vendors add theirs.
// Keys are the last part of a MessageId: the versions before it change freely. A new
// message is a line here, or in its vendor's folder.
var catalogue = map[string]Advice{
	"AccessDenied":                  {"the user may not do this", "give the BMC user rights for virtual media, boot and power", false},
	"AccountLocked":                 {"the user is locked", "wait until the lock expires, or unlock it in the BMC", false},
	"InsufficientPrivilege":         {"the user may not do this", "give the BMC user rights for virtual media, boot and power", false},
	"PasswordChangeRequired":        {"the BMC demands that the user's password is changed first", "log in to the BMC once and change it", false},
	"NoValidSession":                {"the BMC does not know the session", "", true},
	"SessionLimitExceeded":          {"the BMC's session table is full", "end sessions that are not in use, or wait until they expire", true},
	"SessionTerminated":             {"the BMC ended the session", "", true},
	"ServiceInUnknownState":         {"the BMC is starting", "", true},
	"ServiceShuttingDown":           {"the BMC is restarting", "", true},
	"ServiceTemporarilyUnavailable": {"the BMC is busy", "", true},
	"ServiceUnavailable":            {"the BMC is busy", "", true},
	"ServiceDisabled":               {"the BMC's service for this is disabled", "enable it in the BMC's settings", false},
	"ResourceInUse":                 {"the resource is in use", "", true},
	"ResourceInStandby":             {"the machine is in standby", "", true},
	"ResourceAtUriUnauthorized":     {"the image server refuses the BMC", "serve the image without a login", false},
	"ResourceAtUriInUnknownFormat":  {"the BMC does not take an image from such a URL", "publish it under another protocol: some BMCs take https only (media.listen_tls)", false},
	"CouldNotEstablishConnection":   {"the BMC cannot reach the image's URL", "check route, firewall and name resolution from the BMC to the image's URL", false},
	"SourceDoesNotSupportProtocol":  {"the BMC does not fetch images by this protocol", "publish the image under another one (media.listen or media.listen_tls)", false},
	"PropertyNotWritable":           {"the BMC does not let this property be written", "", false},
	"PropertyReadOnly":              {"the BMC does not let this property be written", "", false},
	"PropertyUnknown":               {"the BMC does not know this property", "", false},
	"PropertyMissing":               {"the BMC reports a missing property", "", false},
	"PropertyValueNotInList":        {"the BMC does not know this value", "", false},
	"PropertyValueTypeError":        {"the BMC wants a value of another type", "this is a bug in esxiplan; please report it with --trace", false},
	"ActionNotSupported":            {"the BMC does not offer this action", "check license and firmware of the BMC", false},
	"ActionParameterMissing":        {"the BMC reports a missing parameter", "", false},
	"ActionParameterNotSupported":   {"the BMC does not know this parameter", "", false},
	"PreconditionFailed":            {"the BMC's data changed meanwhile", "", true},
	"OperationTimeout":              {"the BMC took too long for it", "", true},
	"InvalidObject":                 {"the BMC does not have this resource now", "", false},
	"NoOperation":                   {"the BMC found nothing to change", "", false},
}

// general are messages that say that something failed, not what. They count when no
// other message came with them.
var general = map[string]Advice{
	"InternalError": {"the BMC failed internally", "if it stays so, reset the BMC", true},
}
