package classify

// Stance is what the author of a text does with the subject: the second axis
// beside the category. Only StanceOffer can be flagged.
type Stance string

// The stances.
const (
	StanceOffer    Stance = "offer"    // sells, recruits, teaches, solicits
	StanceReport   Stance = "report"   // news, court, police: tells what happened
	StanceWarning  Stance = "warning"  // bank, regulator, anti-fraud: tells people not to
	StanceQuestion Stance = "question" // a debtor, victim or curious person asks or complains
	StanceLegal    Stance = "legal"    // a lawful firm, bank, court service or scholar
	StanceOther    Stance = "other"    // none of these
)

// Stances lists all stances in their fixed order.
var Stances = [...]Stance{StanceOffer, StanceReport, StanceWarning, StanceQuestion, StanceLegal, StanceOther}

// Severity grades a flagged verdict for the queue; empty when not flagged.
type Severity string

// The severities, lowest first.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// ReasonKind says what sort of evidence a Reason is.
type ReasonKind string

// The kinds of reasons.
const (
	ReasonTerm   ReasonKind = "term"   // a dictionary term matched
	ReasonRule   ReasonKind = "rule"   // a dictionary rule or exception applied
	ReasonSignal ReasonKind = "signal" // a stance cue, a contact, a disguise, the base rate
	ReasonModel  ReasonKind = "model"  // the learned model's share
)

// CategoryScore is the evidence for one category as a probability.
type CategoryScore struct {
	ID    string  `json:"id"`    // a taxonomy id, such as debt_relief_scam
	Score float64 `json:"score"` // 0..1
}

// Entity is something concrete named in the text, above all a contact.
// Start and End are rune offsets into post.FullText(), End exclusive.
type Entity struct {
	Type     string `json:"type"`               // wechat, qq, qq_group, phone, telegram, whatsapp, email, url, bank_card, alipay, weibo, douyin, xiaohongshu, company, amount, percent
	Value    string `json:"value"`              // normalised: digits, case, disguises removed
	Raw      string `json:"raw"`                // as written
	Start    int    `json:"start"`              //
	End      int    `json:"end"`                //
	Official bool   `json:"official,omitempty"` // a public hotline or authority's number: never a suspect's contact
}

// Reason is one piece of evidence. The weights of all reasons of a verdict, in
// log-odds, sum to the logit of its score. Start and End are rune offsets
// into post.FullText(), End exclusive; both are 0 for evidence without a place.
type Reason struct {
	Kind     ReasonKind `json:"kind"`
	ID       string     `json:"id"`                 // term, rule, cue or signal id
	Category string     `json:"category,omitempty"` // taxonomy id; empty for stance and general signals
	Text     string     `json:"text,omitempty"`     // the published characters that matched
	Start    int        `json:"start"`
	End      int        `json:"end"`
	Weight   float64    `json:"weight"` // log-odds; positive speaks for flagging
}

// Verdict is what the classifier says of one post. It names the versions that
// produced it, so that it can be reproduced.
type Verdict struct {
	Flagged      bool               `json:"flagged"`
	Score        float64            `json:"score"` // 0..1, logistic of the sum of the reasons' weights
	Severity     Severity           `json:"severity,omitempty"`
	Stance       Stance             `json:"stance"`
	StanceScores map[Stance]float64 `json:"stance_scores"`
	Categories   []CategoryScore    `json:"categories"` // strongest first; never nil
	Entities     []Entity           `json:"entities"`   // in order of appearance; never nil
	Reasons      []Reason           `json:"reasons"`    // strongest first; never nil
	Evasion      []Evasion          `json:"evasion"`    // sorted names of the disguises that had to be undone; never nil
	Dictionary   string             `json:"dictionary"` // version of the dictionaries
	Model        string             `json:"model"`      // version of the learned model; empty when none is loaded
}

// Evasion names a trick of disguise.
type Evasion string

// The tricks the normaliser undoes. A verdict lists one only when a match
// needed it.
const (
	EvasionFullwidth   Evasion = "fullwidth"        // ＰＯＳ
	EvasionStyled      Evasion = "styled_letters"   // circled, mathematical, small capitals
	EvasionTraditional Evasion = "traditional"      // 債務
	EvasionZeroWidth   Evasion = "zero_width"       // U+200B, variation selectors and the like inside a term
	EvasionCombining   Evasion = "combining_marks"  // 停̶息̶
	EvasionCompat      Evasion = "compat_ideograph" // kangxi, radicals supplement, compatibility ideographs
	EvasionHomoglyph   Evasion = "homoglyph"        // Cyrillic, Greek letters for Latin ones
	EvasionSeparators  Evasion = "separators"       // 停.息.挂.账
	EvasionFiller      Evasion = "filler"           // 停1息a挂x账
	EvasionEmoji       Evasion = "emoji"            // ❤信, ➕v
	EvasionVertical    Evasion = "vertical"         // one character a line
	EvasionRepeated    Evasion = "repeated"         // 停停息息挂挂账账
	EvasionHTML        Evasion = "html_entities"    // &#20572;, comments between characters
	EvasionHidden      Evasion = "hidden_text"      // noise in a hidden element
	EvasionReversed    Evasion = "reversed"         // 账挂息停
	EvasionSplit       Evasion = "split_radicals"   // 亻责务
	EvasionHomophone   Evasion = "homophone"        // 寨务
	EvasionLookalike   Evasion = "lookalike"        // 徽信, 帐/账 variants
	EvasionPinyin      Evasion = "pinyin"           // zhaiwu, 债wu
	EvasionInitials    Evasion = "initials"         // zwcz
	EvasionMars        Evasion = "mars_text"        // 徰信俢複
	EvasionBopomofo    Evasion = "bopomofo"         // ㄓㄞˋㄨˋ
	EvasionUpsideDown  Evasion = "upside_down"      // uıxıǝʍ
	EvasionDigits      Evasion = "digit_disguise"   // ①③⑧, 幺三八, 9️⃣ in a contact
)
