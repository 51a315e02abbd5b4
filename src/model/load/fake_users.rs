//! Synthetic users: each is a function of a seed and an id, so it can be made again at any time.
//!
//! Names are plausible for the region, regions are skewed, and emails lie in a domain that no real user can have.

use super::random::Stream;
use crate::model::user::{User, UserId};

/// The domain of all emails that a load makes. Nobody has it: `.example` is reserved (RFC 2606).
pub const DOMAIN: &str = "load.example";

/// The regions, and how many of a hundred users each has: one is a hot spot.
pub const REGIONS: [(&str, u64); 3] = [("US", 60), ("EU", 25), ("APAC", 15)];

/// Names that go together.
struct Culture {
    first: [&'static str; 12],
    last: [&'static str; 12],
}

const ENGLISH: Culture = Culture {
    first: [
        "Alice",
        "Bob",
        "Charlotte",
        "Daniel",
        "Emma",
        "George",
        "Hannah",
        "James",
        "Olivia",
        "Ruth",
        "Samuel",
        "William",
    ],
    last: [
        "Baker", "Carter", "Davies", "Evans", "Harris", "Johnson", "Miller", "Smith", "Taylor", "Turner",
        "Walker", "Wright",
    ],
};
const SPANISH: Culture = Culture {
    first: [
        "Alejandro",
        "Camila",
        "Diego",
        "Elena",
        "Javier",
        "José",
        "Lucía",
        "María",
        "Mateo",
        "Sofía",
        "Valentina",
        "Ximena",
    ],
    last: [
        "Castillo",
        "Fernández",
        "García",
        "Gómez",
        "Hernández",
        "López",
        "Martínez",
        "Morales",
        "Núñez",
        "Ramírez",
        "Torres",
        "Vargas",
    ],
};
const AFRICAN: Culture = Culture {
    first: [
        "Abena",
        "Adaeze",
        "Amara",
        "Chidi",
        "Folake",
        "Kofi",
        "Kwame",
        "Ngozi",
        "Oluwaseun",
        "Thandiwe",
        "Wanjiku",
        "Zola",
    ],
    last: [
        "Abebe", "Adeyemi", "Boateng", "Dlamini", "Kamau", "Mensah", "Mwangi", "Nkosi", "Okafor", "Okonkwo",
        "Owusu", "Traoré",
    ],
};
const GERMAN: Culture = Culture {
    first: [
        "Anja",
        "Björn",
        "Dieter",
        "Franziska",
        "Greta",
        "Jürgen",
        "Katharina",
        "Lukas",
        "Moritz",
        "Sabine",
        "Ulrike",
        "Wolfgang",
    ],
    last: [
        "Becker",
        "Fischer",
        "Groß",
        "Hoffmann",
        "Krüger",
        "Müller",
        "Neumann",
        "Schäfer",
        "Schmidt",
        "Vogel",
        "Weber",
        "Zimmermann",
    ],
};
const ROMANCE: Culture = Culture {
    first: [
        "Beatriz",
        "Chloé",
        "Élodie",
        "Francesca",
        "Giulia",
        "João",
        "Léa",
        "Luca",
        "Marco",
        "Noël",
        "Théo",
        "Tomás",
    ],
    last: [
        "Bernard",
        "Bianchi",
        "Conti",
        "Dubois",
        "Ferrari",
        "Fontaine",
        "Gonçalves",
        "Lefèvre",
        "Moreau",
        "Pereira",
        "Ricci",
        "Silva",
    ],
};
const SLAVIC: Culture = Culture {
    first: [
        "Agnieszka",
        "Dmytro",
        "Ivana",
        "Jana",
        "Katarzyna",
        "Łukasz",
        "Milan",
        "Oksana",
        "Piotr",
        "Tomáš",
        "Vesna",
        "Zofia",
    ],
    last: [
        "Dvořák",
        "Horvat",
        "Kovač",
        "Kowalski",
        "Nowak",
        "Novák",
        "Petrović",
        "Shevchenko",
        "Svoboda",
        "Wiśniewski",
        "Wójcik",
        "Zelenko",
    ],
};
const EAST_ASIAN: Culture = Culture {
    first: [
        "Akira", "Haruka", "Hiroshi", "Ji-woo", "Kenji", "Li Na", "Mei", "Min-jun", "Sakura", "Seo-yeon",
        "Wei", "Yuki",
    ],
    last: [
        "Chen", "Choi", "Ito", "Kim", "Lee", "Park", "Sato", "Suzuki", "Tanaka", "Wang", "Yamamoto", "Zhang",
    ],
};
const SOUTH_ASIAN: Culture = Culture {
    first: [
        "Aarav", "Ananya", "Anh", "Arjun", "Diya", "Kavya", "Minh", "Priya", "Putri", "Ravi", "Siti", "Thảo",
    ],
    last: [
        "Das", "Gupta", "Iyer", "Khan", "Nguyễn", "Patel", "Pham", "Rahman", "Reddy", "Santoso", "Sharma",
        "Singh",
    ],
};

/// Which names are met in which region, in the order of [`REGIONS`]; each is as likely as the others.
const CULTURES: [&[&Culture]; 3] = [
    &[&ENGLISH, &ENGLISH, &ENGLISH, &SPANISH, &AFRICAN, &GERMAN, &EAST_ASIAN, &SOUTH_ASIAN],
    &[&GERMAN, &ROMANCE, &ROMANCE, &SLAVIC, &ENGLISH, &SPANISH],
    &[&EAST_ASIAN, &EAST_ASIAN, &SOUTH_ASIAN, &SOUTH_ASIAN, &ENGLISH],
];

/// The user of this id among those of a seed: always the same one.
pub fn user(seed: u64, id: UserId) -> User {
    let mut stream = Stream::new(seed, id.number().cast_unsigned());
    let mut share = stream.below(REGIONS.iter().map(|(_, share)| share).sum());
    let mut region = 0;
    while share >= REGIONS[region].1 {
        share -= REGIONS[region].1;
        region += 1;
    }
    let culture = one_of(CULTURES[region], &mut stream);
    let (first, last) = (one_of(&culture.first, &mut stream), one_of(&culture.last, &mut stream));
    let email = format!("{}.{}.{id}@{DOMAIN}", folded(first), folded(last));
    User {
        user_id: id,
        name: Some(format!("{first} {last}")),
        region: Some(REGIONS[region].0.into()),
        email: Some(email),
    }
}

/// Whether a load made this user, or changed it last.
pub fn is_synthetic(email: Option<&str>) -> bool {
    let host = email.and_then(|email| email.rsplit_once('@')).map(|(_, host)| host);
    host.and_then(|host| host.strip_suffix(DOMAIN)).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn one_of<T: Copy>(all: &[T], stream: &mut Stream) -> T {
    let at = stream.below(all.len() as u64);
    all[usize::try_from(at).expect("less than the number of them")]
}

/// A name as it stands in an email: lower case, without marks.
fn folded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        out.push_str(match letter {
            'á' | 'à' | 'ã' | 'â' | 'ả' => "a",
            'ä' => "ae",
            'ć' | 'č' | 'ç' => "c",
            'é' | 'è' | 'ê' | 'ë' | 'ě' | 'ễ' => "e",
            'í' | 'ì' | 'î' | 'ï' => "i",
            'ł' => "l",
            'ñ' | 'ń' => "n",
            'ó' | 'ò' | 'ô' | 'õ' => "o",
            'ö' => "oe",
            'ř' => "r",
            'ś' | 'š' => "s",
            'ß' => "ss",
            'ú' | 'ù' | 'û' => "u",
            'ü' => "ue",
            'ý' => "y",
            'ź' | 'ż' | 'ž' => "z",
            ' ' | '-' => "",
            _ => {
                out.push(letter);
                continue;
            }
        });
    }
    out
}
