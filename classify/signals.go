package classify

// Signals are evidence that no dictionary entry makes: contacts, disguises and
// the place of publication.

// contactWeights is what a contact of each type says for an offer. Phones and
// mail addresses stand in honest adverts and notices just as often.
var contactWeights = map[string]float64{
	EntityWechat: 1.5, EntityQQ: 1.4, EntityQQGroup: 1.2, EntityTelegram: 1.6, EntityWhatsApp: 1.3,
	EntityPhone: 0.9, EntityEmail: 0.4, EntityURL: 0.5, EntityAlipay: 0.6,
	EntityWeibo: 0.4, EntityDouyin: 0.8, EntityXiaohongshu: 0.8,
}

// contactIDs names the evidence of a contact of each type.
var contactIDs = func() map[string]string {
	ids := map[string]string{}
	for kind := range contactWeights {
		ids[kind] = "contact." + kind
	}
	return ids
}()

// evasionWeights is what each disguise of a term or contact says for an offer.
// Traditional characters, full width and line breaks are ordinary in places.
var evasionWeights = map[Evasion]float64{
	EvasionFullwidth: 0.2, EvasionStyled: 0.7, EvasionTraditional: 0.2, EvasionZeroWidth: 0.7, EvasionCombining: 0.9,
	EvasionCompat: 0.8, EvasionHomoglyph: 0.9, EvasionSeparators: 0.7, EvasionFiller: 0.8, EvasionEmoji: 0.7,
	EvasionVertical: 0.6, EvasionRepeated: 0.6, EvasionHTML: 0.5, EvasionHidden: 0.6, EvasionReversed: 1.0,
	EvasionSplit: 1.0, EvasionHomophone: 0.7, EvasionLookalike: 0.6, EvasionPinyin: 0.7, EvasionInitials: 0.5,
	EvasionMars: 0.9, EvasionBopomofo: 0.9, EvasionUpsideDown: 1.0, EvasionDigits: 0.7,
}

// sourceWeights is the prior of the place of publication, for the site's own
// texts. Comments and advert slots on the same pages are judged by themselves.
var sourceWeights = map[string]float64{"news": -1.6, "official": -2.6, "classified": 0.3}

// slotWeight is the prior of a paid or planted slot.
const slotWeight = 0.4

// knownSource are the places of publication the verdict may depend on.
var knownSource = map[string]bool{"forum": true, "social": true, "classified": true, "news": true, "official": true, "blog": true, "qa": true}
