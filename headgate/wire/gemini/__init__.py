"""Google's Gemini: generateContent and streamGenerateContent, as the Gemini API and Vertex AI serve them."""
