package scrub

import "slices"

// packRow is a versioned set of classes. A class may be in several packs. What a
// pack finds changes only with its version.
type packRow struct {
	name      string
	isDefault bool // applies where nothing is said
	medical   bool // the field names of medicalRows hold too
	strict    bool // what nothing keeps is replaced
	classes   []class
}

// packs holds every pack. Where a class is in several of those that apply, its
// hits are counted under the first.
var packs = []packRow{
	{name: "secrets@1", isDefault: true, classes: []class{credential, cookie, vendorKey, webToken, privateKey}},
	{name: "pci@1", isDefault: true, classes: []class{cardCheck, card, iban, bank}},
	{name: "gdpr@1", isDefault: true, classes: []class{email, phone, name, username, address, birthDate, ssn, nationalID, ip, device, location, special}},

	// The identifiers of 45 CFR 164.514(b)(2)(i), (A) to (R). What a patient
	// suffers from is none of them. Photographs that are bodies or files are
	// binary, and dropped with or without this pack.
	{name: "hipaa@1", medical: true, classes: []class{
		name, username, // (A)
		address, coordinates, // (B)
		date, born, age, // (C)
		phone,      // (D), (E)
		email,      // (F)
		ssn,        // (G)
		record,     // (H), (I), (K), (R)
		bank,       // (J)
		card, iban, // (J)
		vehicle,     // (L)
		device,      // (M)
		personalURL, // (N)
		ip,          // (O)
		likeness,    // (P), (Q)
		nationalID,  // (R)
	}},

	{name: "strict@1", medical: true, strict: true, classes: allClasses()},
}

func allClasses() []class {
	var out []class
	for c := credential; c < other; c++ {
		out = append(out, c)
	}
	return out
}

// PackNames lists the packs, sorted.
func PackNames() []string {
	var out []string
	for _, p := range packs {
		out = append(out, p.name)
	}
	slices.Sort(out)
	return out
}

// DefaultPacks lists the packs that apply where nothing is said, sorted.
func DefaultPacks() []string {
	var out []string
	for _, p := range packs {
		if p.isDefault {
			out = append(out, p.name)
		}
	}
	slices.Sort(out)
	return out
}

// classRule is the name under which hits of a class are reported: "gdpr@1/email".
func (s *Scrubber) classRule(c class) string {
	if s.packOf[c] == "" {
		return classes[c].name
	}
	return s.packOf[c] + "/" + classes[c].name
}
