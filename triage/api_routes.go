package triage

// apiRoutes registers the API. openapi.yaml describes each of these, and a test
// compares the two.
func (s *Server) apiRoutes() {
	s.mux.HandleFunc("GET /api/openapi.json", s.getOpenAPI)
	s.mux.HandleFunc("GET /api/records", s.apiSearch)
	s.mux.HandleFunc("GET /api/records/{id}", s.apiRecord)
	s.mux.HandleFunc("GET /api/records/{id}/audit", s.apiRecordAudit)
	s.mux.HandleFunc("GET /api/records/{id}/original", s.getOriginal)
	s.mux.HandleFunc("POST /api/records/{id}/triage", s.apiTriage)
	s.mux.HandleFunc("POST /api/records/{id}/reveal", s.apiReveal)
	s.mux.HandleFunc("GET /api/facets", s.apiFacets)
	s.mux.HandleFunc("GET /api/campaigns/{id}", s.apiCampaign)
	s.mux.HandleFunc("POST /api/bulk", s.apiBulk)
	s.mux.HandleFunc("POST /api/undo", s.apiUndo)
	s.mux.HandleFunc("GET /api/audit", s.apiAudit)
	s.mux.HandleFunc("GET /api/audit/verification", s.apiVerification)
	s.mux.HandleFunc("GET /api/export", s.apiExport)
	s.mux.HandleFunc("GET /api/searches", s.apiSearches)
	s.mux.HandleFunc("POST /api/searches", s.apiSaveSearch)
	s.mux.HandleFunc("DELETE /api/searches/{id}", s.apiDropSearch)
	s.mux.HandleFunc("GET /api/subscriptions", s.apiSubscriptions)
}
