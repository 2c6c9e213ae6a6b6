"""What the demo shop sells besides its first shelf (`shop.CATALOGUE`): a house-and-kitchen shop's assortment.

One row is one listing of the channel: (SKU, title, price, variations as (SKU suffix, value)). A product is a row
without variations, or one variation. Invented: no brand is named.
"""

Row = tuple[str, str, float, list[tuple[str, str]]]

COLOURS = [("PRETO", "Preto"), ("BRANCO", "Branco"), ("CINZA", "Cinza")]
EARTH = [("AREIA", "Areia"), ("TERRA", "Terracota"), ("OLIVA", "Verde-oliva"), ("CRU", "Cru")]
BRIGHT = [("AZUL", "Azul"), ("VERDE", "Verde"), ("AMAR", "Amarelo"), ("CORAL", "Coral")]
BEDS = [("SOLT", "Solteiro"), ("CASAL", "Casal"), ("QUEEN", "Queen"), ("KING", "King")]
SIZES = [("P", "Pequeno"), ("M", "Médio"), ("G", "Grande")]

KITCHEN: list[Row] = [
    ("PAN-FERRO-20", "Frigideira de Ferro Fundido 20 cm", 109.9, []),
    ("PAN-FERRO-30", "Frigideira de Ferro Fundido 30 cm", 179.9, []),
    ("PAN-CACAR", "Caçarola Esmaltada com Tampa", 229.0, SIZES),
    ("PAN-WOK-28", "Wok Antiaderente 28 cm Cabo de Madeira", 149.0, []),
    ("PAN-LEITEIRA", "Leiteira Esmaltada 1,5 Litro", 84.9, EARTH),
    ("PAN-CUSCUZ", "Cuscuzeira Alumínio 1 Litro", 54.9, []),
    ("FAC-PAO", "Faca de Pão Serrilhada 8 Polegadas", 69.0, []),
    ("FAC-LEGUME", "Faca de Legumes 3 Polegadas", 29.9, []),
    ("FAC-JOGO-5", "Jogo de Facas com Cepo 5 Peças", 289.0, []),
    ("FAC-AFIADOR", "Afiador de Facas Duas Etapas", 59.0, []),
    ("TAB-TECA", "Tábua de Teca para Churrasco", 129.0, SIZES),
    ("UTE-COLHERES", "Jogo de Colheres de Silicone 5 Peças", 79.9, BRIGHT),
    ("UTE-FOUET", "Fouet Inox 25 cm", 34.9, []),
    ("UTE-RALADOR", "Ralador Inox Quatro Faces", 44.9, []),
    ("UTE-PENEIRA", "Jogo de Peneiras Inox 3 Peças", 64.9, []),
    ("UTE-BALANCA", "Balança Digital de Cozinha 5 kg", 74.9, COLOURS),
    ("UTE-TERMOM", "Termômetro Culinário Digital", 49.9, []),
    ("UTE-ESPREM", "Espremedor de Limão Manual", 27.9, BRIGHT),
    ("FOR-BOLO-22", "Forma de Bolo Fundo Removível 22 cm", 52.9, []),
    ("FOR-PUDIM", "Forma de Pudim com Tampa", 47.9, []),
    ("FOR-ASSAD", "Assadeira Retangular Antiaderente", 69.9, SIZES),
    ("FOR-CUPCAKE", "Forma de Cupcake 12 Cavidades", 58.9, []),
]

TABLE: list[Row] = [
    ("CAN-PORC", "Caneca de Porcelana 300 ml", 24.9, BRIGHT),
    ("CAN-TERM", "Caneca Térmica com Tampa 400 ml", 69.9, COLOURS),
    ("COP-AGUA-6", "Jogo de 6 Copos de Água 320 ml", 59.9, []),
    ("COP-CAIP-4", "Jogo de 4 Copos de Caipirinha", 49.9, []),
    ("TAC-VINHO-6", "Jogo de 6 Taças de Vinho 450 ml", 119.0, []),
    ("PRA-RASO", "Prato Raso de Cerâmica 27 cm", 39.9, EARTH),
    ("PRA-FUNDO", "Prato Fundo de Cerâmica 21 cm", 36.9, EARTH),
    ("PRA-SOBREM", "Prato de Sobremesa de Cerâmica 19 cm", 29.9, EARTH),
    ("TIG-CERAM", "Tigela de Cerâmica 500 ml", 34.9, EARTH),
    ("TAL-FAQ-24", "Faqueiro Inox 24 Peças", 159.0, []),
    ("TRA-VIDRO", "Travessa de Vidro com Tampa", 89.9, SIZES),
    ("JAR-VIDRO", "Jarra de Vidro 1,5 Litro", 54.9, []),
    ("BAN-BAMBU", "Bandeja de Bambu com Alças", 74.9, SIZES),
    ("JOG-AMER", "Jogo Americano de Algodão 4 Peças", 64.9, EARTH),
    ("TOA-MESA", "Toalha de Mesa Algodão 6 Lugares", 119.0, EARTH),
    ("GUA-LINHO", "Kit 4 Guardanapos de Linho", 69.9, COLOURS),
]

PANTRY: list[Row] = [
    ("CAF-GRAO-500", "Café em Grãos Torra Média 500 g", 44.9, []),
    ("CAF-MOIDO-250", "Café Moído Torra Escura 250 g", 24.9, []),
    ("CHA-HIBISCO", "Chá de Hibisco 100 g", 18.9, []),
    ("GEL-GOIABA", "Geleia de Goiaba 320 g", 21.9, []),
    ("MEL-SILVEST", "Mel Silvestre 500 g", 38.9, []),
    ("AZE-EXTRA", "Azeite Extravirgem 500 ml", 54.9, []),
    ("CHO-CACAU-70", "Chocolate 70% Cacau 100 g", 19.9, []),
    ("BIS-POLVILHO", "Biscoito de Polvilho Artesanal 200 g", 14.9, []),
]

BED_AND_BATH: list[Row] = [
    ("LEN-PERCAL", "Jogo de Lençol Percal 200 Fios", 219.0, BEDS),
    ("COL-MATEL", "Colcha Matelassê", 279.0, BEDS),
    ("TRV-PLUMA", "Travesseiro Toque de Pluma", 79.9, []),
    ("PRO-COLCH", "Protetor de Colchão Impermeável", 109.0, BEDS),
    ("MAN-TRICO", "Manta de Tricô para Sofá", 159.0, EARTH),
    ("TOA-BANHO", "Toalha de Banho Algodão Egípcio", 69.9, EARTH),
    ("TOA-ROSTO", "Toalha de Rosto Algodão Egípcio", 32.9, EARTH),
    ("TAP-BANHEIRO", "Tapete de Banheiro Antiderrapante", 49.9, COLOURS),
    ("ROU-ALGODAO", "Roupão de Algodão", 189.0, SIZES),
    ("SAB-LIQUIDO", "Sabonete Líquido de Lavanda 500 ml", 34.9, []),
]

LIVING: list[Row] = [
    ("ALM-LINHO", "Capa de Almofada de Linho 45 cm", 44.9, [*EARTH, *COLOURS]),
    ("CES-ORGAN", "Cesto Organizador de Corda", 69.9, SIZES),
    ("CES-ROUPA", "Cesto de Roupa com Tampa", 139.0, COLOURS),
    ("CAI-ORGAN", "Caixa Organizadora com Tampa", 29.9, SIZES),
    ("CAB-VELUDO", "Kit 20 Cabides de Veludo", 79.9, COLOURS),
    ("VEL-AROMA", "Vela Aromática 180 g", 54.9, [("CAPIM", "Capim-limão"), ("BAUN", "Baunilha"), ("FIGO", "Figo")]),
    (
        "DIF-AROMA",
        "Difusor de Varetas 250 ml",
        64.9,
        [("BAMBU", "Bambu"), ("ALEC", "Alecrim"), ("FLOR", "Flor de laranjeira")],
    ),
    ("QUA-BOTAN", "Quadro Botânico 40 x 60 cm", 119.0, []),
    ("ESP-REDON", "Espelho Redondo 50 cm", 169.0, COLOURS),
    ("LUM-PISO", "Luminária de Piso Tripé", 249.0, []),
    ("LUM-CORDAO", "Cordão de Luzes 10 Metros", 59.9, []),
    ("VAS-SUCUL", "Vaso de Cerâmica para Suculentas", 24.9, [*EARTH, *BRIGHT]),
    ("REG-2L", "Regador Metálico 2 Litros", 59.9, BRIGHT),
    ("CAP-FIBRA", "Capacho de Fibra de Coco 40 x 60 cm", 64.9, []),
]

ASSORTMENT: list[Row] = [*KITCHEN, *TABLE, *PANTRY, *BED_AND_BATH, *LIVING]

PERISHABLE: frozenset[str] = frozenset(sku for sku, _title, _price, _variations in PANTRY)
"""What is kept by batch, with a date."""


def products(rows: list[Row]) -> list[tuple[str, float]]:
    """Return (SKU, price) of every product of some rows."""
    return [
        (f"{sku}-{suffix}" if suffix else sku, price)
        for sku, _title, price, variations in rows
        for suffix in ([one for one, _value in variations] or [""])
    ]
