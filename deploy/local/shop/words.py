"""What the shop sells, in words: nouns by category, adjectives by style, and makers."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "kitchen": (
        "saucepan",
        "chef's knife",
        "cutting board",
        "kettle",
        "mixing bowl",
        "coffee grinder",
        "tea tin",
    ),
    "lighting": ("desk lamp", "floor lamp", "pendant light", "lantern", "reading light", "candle holder"),
    "furniture": ("side table", "bookshelf", "armchair", "stool", "writing desk", "bench", "coat stand"),
    "textiles": ("wool blanket", "cushion", "linen sheet", "rug", "curtain", "bath towel", "quilt"),
    "garden": ("watering can", "planter", "trowel", "bird feeder", "garden chair", "pruning shears"),
    "outdoor": ("tent", "sleeping bag", "backpack", "camping stove", "water bottle", "hammock", "headlamp"),
    "sport": ("yoga mat", "running belt", "kettlebell", "skipping rope", "swim goggles", "bike light"),
    "stationery": (
        "notebook",
        "fountain pen",
        "desk organiser",
        "sketch pad",
        "wall calendar",
        "pencil case",
    ),
    "audio": ("headphones", "turntable", "radio", "bookshelf speaker", "microphone", "record crate"),
    "toys": ("wooden train", "puzzle", "building set", "kite", "puppet", "marble run", "board game"),
    "clothing": ("rain jacket", "cardigan", "scarf", "sun hat", "work shirt", "wool socks", "apron"),
    "care": ("hand cream", "shaving brush", "soap dish", "bath salts", "hairbrush", "beard oil"),
}

STYLES: dict[str, tuple[str, ...]] = {
    "nordic": ("pale oak", "plain white", "birch", "Nordic"),
    "industrial": ("black steel", "raw iron", "riveted", "workshop"),
    "rustic": ("farmhouse", "hand-carved", "weathered", "rustic"),
    "colourful": ("bright yellow", "rainbow", "tangerine", "confetti"),
    "classic": ("walnut", "brass", "heritage", "classic"),
    "minimal": ("slim", "seamless", "matte grey", "quiet"),
    "playful": ("polka-dot", "wavy", "smiling", "cartoon"),
    "luxury": ("marble", "gilded", "velvet", "hand-finished"),
}

MAKERS: tuple[str, ...] = (
    "Alder & Finch",
    "Brookside",
    "Calloway",
    "Dunmore",
    "Elmwood",
    "Fairlight",
    "Greyfell",
    "Harrow",
    "Inverlea",
    "Juniper Row",
    "Kestrel",
    "Larkhill",
    "Mistral",
    "Northwick",
    "Oakhaven",
    "Penrose",
)
